"""Loaders, splits of a datamodule, rows of tensors."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError, DataError
from fulmen.core.restoring import restoring
from fulmen.data import ArrayData
from fulmen.data.base import TensorRows, _equal
from fulmen.data.split_files import read_split


def array_data(n: int = 100, **options: Any) -> ArrayData:
    data = ArrayData(torch.arange(4.0 * n).reshape(n, 4), torch.arange(n) % 2, standardize=False, **options)
    data.setup("fit")
    return data


def rows() -> TensorRows:
    return TensorRows(torch.arange(20.0).reshape(10, 2), torch.arange(10) * 10, torch.tensor([7, 3, 5]))


def test_rows_come_as_a_batch() -> None:
    batch = rows().__getitems__([2, 0])
    assert batch.inputs.tolist() == [[10.0, 11.0], [14.0, 15.0]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [50, 70]
    assert batch.index is not None
    assert batch.index.tolist() == [5, 7]
    assert len(rows()) == 3


def test_padding_has_the_form_of_a_sample() -> None:
    batch = rows().__getitems__([1, PADDING])
    assert batch.inputs.shape == (2, 2)
    assert batch.index is not None
    assert batch.index.tolist() == [3, PADDING]
    again = rows().__getitems__([1, 2])
    assert again.index is not None
    assert again.index.tolist() == [3, 5]  # the padding was not written into the data


def test_one_row() -> None:
    sample = rows()[1]
    assert sample.inputs.tolist() == [6.0, 7.0]
    assert sample.targets == 30
    assert sample.index == 3


def test_loaders_cover_their_splits() -> None:
    data = array_data(80, batch_size=16, eval_batch_size=7, val_fraction=0.2, test_fraction=0.1)
    assert {name: len(d) for name, d in data.datasets.items()} == {"train": 56, "val": 16, "test": 8}
    sizes = {"train": [16, 16, 16, 8], "val": [7, 7, 2], "test": [7, 1]}
    seen: list[int] = []
    for name, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        batches: list[Batch] = list(loader)
        assert [len(b.inputs) for b in batches] == sizes[name]
        for b in batches:
            assert b.index is not None
            torch.testing.assert_close(b.inputs, data.inputs[b.index])
            seen += b.index.tolist()
    assert sorted(seen) == list(range(80))


def test_training_order_follows_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(seed: str) -> list[int]:
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        return [i for b in array_data().train_dataloader() for i in b.index.tolist()]

    assert order("1") == order("1") != order("2")
    assert sorted(order("1")) == sorted(order("2"))


@pytest.mark.parametrize(("n", "batch_size", "last"), [(33, 16, 16), (34, 16, 2), (5, 1, 1), (1, 16, 1)])
def test_a_last_batch_of_one_is_left_out_of_training(n: int, batch_size: int, last: int) -> None:
    data = ArrayData(torch.rand(n, 2), torch.rand(n), batch_size=batch_size, val_fraction=0.0, test_fraction=0.0)
    data.setup("fit")
    assert [len(b.inputs) for b in data.train_dataloader()][-1] == last


def test_no_validation_split() -> None:
    data = array_data(val_fraction=0.0)
    assert data.val_dataloader() == []
    assert data.predicted_split == "test"


def test_no_test_split() -> None:
    data = array_data(test_fraction=0.0)
    with pytest.raises(DataError, match=r"no test split; set data\.test_fraction"):
        data.test_dataloader()
    assert data.predicted_split == "val"


def test_predict_split() -> None:
    data = array_data(predict_split="train", val_fraction=0.0)
    index = torch.cat([b.index for b in data.predict_dataloader()])
    assert torch.equal(index, torch.from_numpy(data.datasets["train"].rows.numpy()))  # type: ignore[attr-defined]
    assert data.identity("train", torch.tensor([3, 5])) == [3, 5]
    with pytest.raises(DataError, match="nothing to predict: no sample in val"):
        array_data(predict_split="val", val_fraction=0.0).predict_dataloader()


def test_setup_builds_once() -> None:
    data = array_data()
    first = data.datasets["train"]
    data.setup("test")
    assert data.datasets["train"] is first


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"eval_batch_size": 0}, {"eval_batch_size": -1}, {"num_workers": -1}]
)
def test_sizes_out_of_range(options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name}: {options[name]} is out of range"):
        array_data(**options)


def test_uint8_is_scaled_and_floats_are_left() -> None:
    data = array_data()
    torch.testing.assert_close(data.normalize(torch.tensor([0, 51, 255], dtype=torch.uint8)), torch.tensor([0, 0.2, 1]))
    x = torch.rand(3)
    assert data.normalize(x) is x


def test_batches_of_others_pass_untouched() -> None:
    data = array_data()
    other = (torch.zeros(2), torch.zeros(2))
    assert data.on_after_batch_transfer(other, 0) is other


def test_processes_share_the_samples() -> None:
    seen, steps = [], set()
    for rank in range(2):
        data = array_data(n=101, batch_size=8)
        trainer: Any = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": 2, "rank": rank})
        data.trainer = trainer
        index = [i for b in data.test_dataloader() for i in b.index.tolist()]
        steps.add(len(index))
        seen += index
    assert len(steps) == 1
    real = [i for i in seen if i != PADDING]
    assert sorted(real) == sorted(data.datasets["test"].rows.tolist())  # type: ignore[attr-defined]


def test_fewer_training_samples_than_processes() -> None:
    data = ArrayData(torch.rand(3, 2), torch.rand(3), val_fraction=0.0, test_fraction=0.0)
    data.setup("fit")
    trainer: Any = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": 4, "rank": 0})
    data.trainer = trainer
    with pytest.raises(DataError, match="3 training samples cannot be shared by 4 processes"):
        data.train_dataloader()


@pytest.mark.slow
def test_number_of_workers_changes_no_batch() -> None:
    def batches(workers: int) -> list[tuple[Tensor, ...]]:
        data = array_data(num_workers=workers, batch_size=16)
        return [tuple(b) for loader in (data.train_dataloader(), data.val_dataloader()) for b in loader]

    expected = batches(0)
    for workers in (1, 2):
        found = batches(workers)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# Rare classes


def rare(**options: Any) -> ArrayData:
    """Images of 90, 30 and 12 samples of three classes."""
    targets = torch.tensor([0] * 90 + [1] * 30 + [2] * 12)
    images = torch.arange(132, dtype=torch.uint8)[:, None, None, None].expand(132, 1, 2, 3).contiguous()
    data = ArrayData(images, targets, **{"batch_size": 12, "val_fraction": 0.0, "test_fraction": 0.0, **options})
    data.setup("fit")
    return data


def test_class_counts_are_those_of_the_training_split() -> None:
    data = rare(val_fraction=0.2, test_fraction=0.1)
    counts = data.class_counts()
    assert counts is not None
    rows: Any = data.datasets["train"]
    assert counts.tolist() == np.bincount(data.targets[rows.rows], minlength=3).tolist()
    assert counts.sum() == len(rows) < 132
    files: Any = data.datasets["train"]
    files.rows = None  # a data set whose targets are its own
    files.targets = torch.tensor([2, 2, 0])
    assert data.class_counts().tolist() == [1, 0, 2]  # type: ignore[union-attr]


def test_every_class_is_drawn_equally_often() -> None:
    data = rare(balance="sampler")
    loader: Any = data.train_dataloader()
    drawn = torch.zeros(3, dtype=torch.long)
    for epoch in range(30):
        loader.sampler.set_epoch(epoch)
        drawn += torch.cat([batch.targets for batch in loader]).bincount(minlength=3)
    assert drawn.sum() == 30 * 132
    assert drawn / drawn.sum() == pytest.approx(torch.full((3,), 1 / 3), abs=0.03)  # 4 standard deviations
    for split in ("val", "test"):
        assert split not in data.datasets


def test_evaluation_is_not_balanced() -> None:
    data = rare(balance="sampler", val_fraction=0.3)
    loader: Any = data.val_dataloader()
    index = torch.cat([b.index for b in loader])
    assert index.tolist() == data.datasets["val"].rows.tolist()  # type: ignore[attr-defined]


@pytest.mark.parametrize("targets", [torch.rand(40), torch.eye(2).repeat(20, 1).long()])
def test_what_has_no_classes_cannot_be_drawn_by_class(targets: Tensor) -> None:
    data = ArrayData(torch.rand(40, 2), targets, balance="sampler")
    data.setup("fit")
    assert data.class_counts() is None
    with pytest.raises(ConfigError, match=r"balance: 'sampler' needs targets that are classes; leave it out"):
        data.train_dataloader()


def test_a_balance_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"balance: unknown way 'samplr'; did you mean 'sampler'\?"):
        array_data(balance="samplr")


class Brighten:
    """Adds a number that shows which draw it was."""

    def set_random_state(self, numpy: np.random.Generator, python: Any) -> None:
        self.numpy = numpy

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        return {"image": image + np.asarray(self.numpy.integers(1, 100), image.dtype)}


class Long(ArrayData):
    """Samples with lengths, as texts have them."""

    def build_datasets(self) -> Any:
        made: Any = super().build_datasets()
        for part in made.values():
            part.lengths = (part.rows * 7919) % 31 + 1
        return made


def hard(**options: Any) -> Long:
    """Balanced, bucketed and augmented at once."""
    base = rare()
    options = {"balance": "sampler", "augment": [Brighten()], "val_fraction": 0.0, "test_fraction": 0.0, **options}
    data = Long(base.inputs, base.targets, **{"batch_size": 12, **options})
    data.setup("fit")
    return data


def batches_of(data: ArrayData, epochs: int = 2) -> list[Batch]:
    loader: Any = data.train_dataloader()
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        found += list(loader)
    return found


def test_repeated_rows_are_augmented_differently() -> None:
    seen: dict[int, list[int]] = {}
    for batch in batches_of(hard(), epochs=1):
        assert batch.index is not None
        for row, image in zip(batch.index.tolist(), batch.inputs, strict=True):
            seen.setdefault(row, []).append(int(image[0, 0, 0]))
    repeated = [values for values in seen.values() if len(values) > 3]
    assert repeated
    assert all(len(set(values)) > len(values) // 2 for values in repeated)


def test_batches_of_similar_length_are_balanced_and_augmented() -> None:
    data = hard()
    lengths: Tensor = data.datasets["train"].lengths  # type: ignore[attr-defined]
    spread = [int(lengths[b.index].max() - lengths[b.index].min()) for b in batches_of(data)]
    assert np.mean(spread) < 6  # of 30: rows of train are rows of the data here
    classes = torch.cat([b.targets for b in batches_of(data, epochs=20) if b.targets is not None])
    assert classes.bincount() / len(classes) == pytest.approx(torch.full((3,), 1 / 3), abs=0.04)


@pytest.mark.slow
def test_workers_change_nothing_of_it() -> None:
    expected = batches_of(hard())
    for workers in (1, 2):
        found = batches_of(hard(num_workers=workers))
        for a, b in zip(found, expected, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_what_one_process_draws(processes: int) -> None:
    """In every step the same samples, augmented alike: 132 can be shared."""

    def steps(count: int) -> list[list[tuple[int, int]]]:
        parts = []
        for rank in range(count):
            data = hard(batch_size=12 // count)
            data.trainer = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": count, "rank": rank})  # type: ignore[assignment]
            parts.append(
                [
                    list(zip(b.index.tolist(), b.inputs[:, 0, 0, 0].tolist(), strict=True))  # type: ignore[union-attr]
                    for b in batches_of(data)
                ]
            )
        return [sorted(itertools.chain(*step)) for step in zip(*parts, strict=True)]

    assert steps(processes) == steps(1)


# Splits that are written, and states that travel


@pytest.mark.parametrize("by", [None, "random", {"group": "who"}, {"time": "when"}, {"column": "part"}])
def test_a_written_split_is_read_again(by: Any, tmp_path: Path) -> None:
    columns = {
        "who": np.arange(100) // 3,
        "when": np.arange(100) * 5 % 101,
        "part": np.resize(["train", "val", "train", "test", "train"], 100),
    }
    data = array_data(split_by=by, columns=columns)
    data.write_split(tmp_path / "split.csv")
    again = array_data(split_by={"file": str(tmp_path / "split.csv")}, split_seed=9, val_fraction=0.4)
    assert list(again.datasets) == ["train", "val", "test"]
    for split, dataset in data.datasets.items():
        assert again.datasets[split].rows.tolist() == dataset.rows.tolist()  # type: ignore[attr-defined]
    table = read_split(tmp_path / "split.csv")
    assert sorted(table["sample"].to_pylist(), key=int) == [str(i) for i in range(100)]


def test_columns_have_a_value_a_sample() -> None:
    with pytest.raises(DataError, match=r"columns: 'who' has the shape \(99,\); a column is \(100,\)"):
        array_data(columns={"who": np.arange(99)})
    with pytest.raises(DataError, match=r"unknown column 'whom'; did you mean 'who'"):
        array_data(columns={"who": np.arange(100)}, split_by={"group": "whom"})
    with pytest.raises(ConfigError, match="these data have no columns"):
        array_data(split_by={"group": "who"})


class Learning(ArrayData):
    """Notes what it learned, tensors among it."""

    learnings = 0

    def build_datasets(self) -> Any:
        made = super().build_datasets()
        if not self.learned:
            type(self).learnings += 1
            rows = made["train"].rows  # type: ignore[attr-defined]
            self.learned = {"mean": self.inputs[rows].mean(0), "names": ["a", {"b": 1}], "number": 3}
        return made


def learning(shift: float = 0.0, **options: Any) -> Learning:
    return Learning(torch.arange(160.0).reshape(40, 4) + shift, torch.arange(40) % 2, **options)


def test_what_was_learned_travels_with_tensors_in_it() -> None:
    data, other = learning(), learning(shift=5.0)
    for made in (data, other):
        made.setup("fit")
    learnings = Learning.learnings
    other.load_state_dict(data.state_dict())
    assert torch.equal(other.learned["mean"], data.learned["mean"])
    assert torch.equal(other.statistics["mean"], data.statistics["mean"])
    built = other.datasets["train"]
    other.load_state_dict(data.state_dict())  # the same again: nothing is built anew
    assert other.datasets["train"] is built
    assert Learning.learnings == learnings


def test_what_is_restored_does_not_learn() -> None:
    data = learning()
    data.setup("fit")
    learnings = Learning.learnings
    with restoring({"Learning": data.state_dict()}):
        other = learning(shift=5.0)
    other.setup("test")
    assert torch.equal(other.learned["mean"], data.learned["mean"])
    assert Learning.learnings == learnings
    view = other.view(0, 4)
    view.setup("fit")
    assert Learning.learnings == learnings + 1  # a fold learns from its own training samples
    assert not torch.equal(view.learned["mean"], other.learned["mean"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}, True),
        ({"a": torch.ones(2)}, {"a": torch.zeros(2)}, False),
        ({"a": torch.ones(2)}, {"a": torch.ones(3)}, False),
        ({"a": torch.ones(2)}, {"a": torch.ones(2).long()}, False),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": "1"}, False),
    ],
)
def test_states_are_compared_by_value(one: Any, other: Any, expected: bool) -> None:
    assert _equal(one, other) is expected


def test_no_training_samples() -> None:
    data = array_data()
    del data.datasets["train"]
    with pytest.raises(DataError, match="the training split is empty"):
        data.train_dataloader()
