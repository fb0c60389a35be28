"""Loaders, splits of a datamodule, rows of tensors."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData
from fulmen.data.base import TensorRows


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
