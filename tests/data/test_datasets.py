"""Data sets of others: torch's, torchvision's, Hugging Face's (or what looks like it), lists."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from sklearn.datasets import load_digits
from tests.conftest import Cli
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData, DatasetData
from fulmen.data.items import as_tensor
from fulmen.modules import MLPModule
from fulmen.testing import check_datamodule

N = 60
POINTS = torch.rand(N, 4, generator=torch.Generator().manual_seed(0))
CLASSES = [i % 3 for i in range(N)]


class Digits(Dataset[Any]):
    """Real digits as torchvision's sets are: images of Pillow, numbers, `targets`, `classes`, a transform."""

    def __init__(self, rows: slice = slice(None), transform: Any = None, classes: list[str] | None = None) -> None:
        digits = load_digits()
        self.images, self.targets = digits.images[rows], digits.target[rows].tolist()
        self.classes = classes or [
            f"{i} - {name}" for i, name in enumerate(["zero", "one", "two", "three", "four", *"?????"])
        ]
        self.transform, self.decoded = transform, 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        self.decoded += 1
        image = Image.fromarray((self.images[row] * 15).astype(np.uint8))
        return (self.transform(image) if self.transform else image), self.targets[row]


class Column(list[Any]):
    """As `datasets.Column`: a list when it is sliced."""

    def __getitem__(self, where: Any) -> Any:
        return list(self)[where]


class ClassLabel:
    def __init__(self, names: list[str]) -> None:
        self.names = names


class HuggingFace:
    """What is used of a `datasets.Dataset`, as version 5.2.0 does it: rows as mappings, columns, features."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any] | None = None, form: Any = None) -> None:
        self.columns, self.form = columns, form
        self.features = dict.fromkeys(columns) | (features or {})
        self.rows_read = 0
        self.calls: list[list[int]] = []

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def with_format(self, form: Any) -> "HuggingFace":
        return HuggingFace(self.columns, self.features, form)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def _row(self, row: int) -> dict[str, Any]:
        self.rows_read += 1
        values = {name: values[row] for name, values in self.columns.items()}
        return {name: torch.tensor(v) for name, v in values.items()} if self.form == "torch" else values

    def __getitem__(self, where: int | str) -> Any:
        if isinstance(where, str):
            assert self.form is None, "the column is asked for as it is stored"
            return Column(self.columns[where])
        return self._row(where)

    def __getitems__(self, rows: list[int]) -> list[dict[str, Any]]:
        self.calls.append(rows)
        return [self._row(row) for row in rows]


def flowers(**options: Any) -> HuggingFace:
    names = {"kind": ClassLabel(["rose", "tulip", "lily"])}
    columns = {"measures": POINTS.tolist(), "kind": CLASSES, "garden": [f"g{i // 3}" for i in range(N)]}
    return HuggingFace({**columns, **options}, names)


def ready(data: DatasetData) -> DatasetData:
    data.setup("fit")
    return data


def all_of(data: DatasetData, split: str) -> Batch:
    dataset = data.datasets[split]
    return dataset.__getitems__(list(range(len(dataset))))


class WrappedImages(DatasetData):
    """Images of Pillow.

    Args:
        **kwargs: Arguments of SupervisedDataModule.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Digits(slice(200)), **kwargs)


class WrappedMappings(DatasetData):
    """Mappings, with test samples of their own.

    Args:
        **kwargs: Arguments of SupervisedDataModule.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(flowers(), test=flowers(), inputs="measures", **kwargs)


test_images = check_datamodule(WrappedImages, options={"batch_size": 64})
test_mappings = check_datamodule(WrappedMappings)


# What it says of the data


def test_digits_train_in_one_line() -> None:
    data = DatasetData(Digits(), batch_size=64)
    assert (data.target_type, data.num_outputs, data.input_shape) == ("multiclass", 10, [1, 8, 8])
    assert data.class_names == Digits().classes
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = MLPModule([64], optimizer={"name": "adam", "lr": 0.01}, **known)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(accelerator="cpu", max_epochs=5, enable_checkpointing=False, **quiet)
    trainer.fit(module, data)
    (scores,) = trainer.test(module, data, verbose=False)
    assert scores["test/accuracy"] > 0.93


def test_the_same_samples_as_arrays_give_the_same_splits_and_batches() -> None:
    pixels = torch.tensor(load_digits().images * 15).byte()[:, None]
    arrays = ArrayData(pixels, load_digits().target)
    wrapped = DatasetData(Digits())
    for data in (arrays, wrapped):
        data.setup("fit")
    for ours, theirs in zip(wrapped.train_dataloader(), arrays.train_dataloader(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("targets", "kind", "outputs", "names"),
    [
        ([i % 2 for i in range(N)], "binary", 1, ["0", "1"]),
        (["ant", "bee", "cow"] * (N // 3), "multiclass", 3, ["ant", "bee", "cow"]),
        ([i / 7 for i in range(N)], "regression", 1, None),
        ([[i % 2, 1] for i in range(N)], "multilabel", 2, ["0", "1"]),
        ([torch.tensor(i % 3) for i in range(N)], "multiclass", 3, ["0", "1", "2"]),
        ([np.float32(i) for i in range(N)], "regression", 1, None),
    ],
)
def test_lists_of_pairs(targets: list[Any], kind: str, outputs: int, names: list[str] | None) -> None:
    data = ready(DatasetData(list(zip(POINTS, targets, strict=True))))
    assert (data.target_type, data.num_outputs, data.class_names) == (kind, outputs, names)
    batch = all_of(data, "train")
    torch.testing.assert_close(batch.inputs, POINTS[batch.index])
    expected = ArrayData(POINTS, np.asarray([np.asarray(t) for t in targets]))
    torch.testing.assert_close(batch.targets, expected.targets[batch.index])


def test_hugging_face_columns() -> None:
    train = flowers()
    data = ready(DatasetData(train, inputs="measures", split_by={"group": "garden"}, batch_size=8))
    assert data.class_names == ["rose", "tulip", "lily"]
    for part in data.datasets.values():
        assert len(part) % 3 == 0  # gardens stay whole
    before = train.rows_read
    assert before <= 3  # targets and gardens are read as columns
    batch = next(iter(data.train_dataloader()))
    assert train.calls[-1] == batch.index.tolist()  # a batch at once
    torch.testing.assert_close(batch.inputs, POINTS[batch.index])
    assert batch.targets.tolist() == [CLASSES[i] for i in batch.index]


def test_hugging_face_formats_and_several_columns() -> None:
    parts = {name: POINTS[:, i].tolist() for i, name in enumerate("abc")}
    train = HuggingFace({**parts, "number": list(range(N)), "kind": CLASSES}, form="torch")
    data = ready(DatasetData(train, inputs=["c", "a", "number"], target="kind"))
    batch = all_of(data, "val")
    expected = torch.stack([POINTS[:, 2], POINTS[:, 0], torch.arange(N).float()], 1)
    torch.testing.assert_close(batch.inputs, expected[batch.index])
    whole = DatasetData(HuggingFace({**parts, "kind": CLASSES}), inputs=["a", "b"], target="kind", transform=sum)
    assert whole.input_shape == [1]


def test_validation_test_and_prediction_of_their_own() -> None:
    rows = list(zip(POINTS, CLASSES, strict=True))
    data = ready(DatasetData(rows[:30], val=rows[30:45], test=rows[45:], predict=[x + 1 for x in POINTS[:6]]))
    assert {name: len(part) for name, part in data.datasets.items()} == {
        "train": 30,
        "val": 15,
        "test": 15,
        "predict": 6,
    }
    torch.testing.assert_close(all_of(data, "test").inputs, POINTS[45:])
    (batch,) = data.predict_dataloader()
    torch.testing.assert_close(batch.inputs, POINTS[:6] + 1)
    assert batch.targets is None
    assert data.datasets["test"].describe(47) == "test, row 2"  # type: ignore[attr-defined]
    folds = [data.view(fold, 3) for fold in range(3)]
    seen = torch.cat([all_of(ready(view), "val").index for view in folds])  # type: ignore[misc]
    assert sorted(seen.tolist()) == list(range(45))  # validation samples join, test samples stay
    assert all(view.sets["train"] is data.sets["train"] for view in folds)


def test_padding_is_a_sample_that_does_not_count() -> None:
    data = ready(DatasetData(list(zip(POINTS, CLASSES, strict=True))))
    batch = data.datasets["val"].__getitems__([0, PADDING])
    assert batch.index is not None
    assert batch.index[1] == PADDING
    assert batch.inputs.shape == (2, 4)
    one: Any = data.datasets["val"]
    assert one[0].inputs.tolist() == batch.inputs[0].tolist()
    assert pickle.loads(pickle.dumps(one))[1].index == one[1].index


# Targets without inputs


def test_targets_are_read_without_decoding() -> None:
    digits = Digits()
    data = DatasetData(digits)
    assert digits.decoded <= 6
    assert data.targets.tolist() == load_digits().target.tolist()
    digits = Digits()
    rows = list(range(0, 1797, 7))
    data = DatasetData(Subset(digits, rows))
    assert digits.decoded <= 6
    assert data.targets.tolist() == load_digits().target[rows].tolist()
    assert data.class_names == digits.classes
    data = DatasetData(ConcatDataset([Digits(slice(100)), Digits(slice(900, 1000))]))
    assert data.targets.tolist() == load_digits().target[[*range(100), *range(900, 1000)]].tolist()


def test_noted_targets_that_are_others_are_not_believed() -> None:
    class Odd(Digits):
        def __getitem__(self, row: int) -> tuple[Any, int]:
            image, target = super().__getitem__(row)
            return image, 1 - target % 2

    data = DatasetData(Odd(slice(300)), class_names=["odd", "even"])
    assert data.targets.tolist() == (1 - load_digits().target[:300] % 2).tolist()


# Inputs


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (1, 4, 6)), ("RGB", (3, 4, 6)), ("RGBA", (3, 4, 6)), ("P", (3, 4, 6)), ("1", (1, 4, 6))]
)
def test_images_of_pillow(mode: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    tensor = as_tensor(image, "row 0")
    assert tensor.dtype == torch.uint8
    assert tuple(tensor.shape) == shape
    if mode in ("L", "RGB"):
        np.testing.assert_array_equal(tensor.permute(1, 2, 0).squeeze(), np.asarray(image))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.tensor([0.5, 0.25], dtype=torch.float64), torch.float32),
        (np.arange(3), torch.int64),
        (np.arange(3, dtype=np.int16), torch.int64),
        (np.zeros((2, 2), np.uint8), torch.uint8),
        ([True, False], torch.float32),
        ([[1, 2], [3, 4]], torch.int64),
        (3.5, torch.float32),
    ],
)
def test_kinds_of_numbers(value: Any, expected: torch.dtype) -> None:
    tensor = as_tensor(value, "row 0")
    assert tensor.dtype == expected
    assert tensor.shape == (np.asarray(value).shape or (1,))
    np.testing.assert_allclose(tensor.numpy().ravel(), np.asarray(value).ravel(), rtol=1e-6)


def test_arrays_that_may_not_be_written() -> None:
    array = np.ones(3, np.float32)
    array.setflags(write=False)
    assert as_tensor(array, "row 0").tolist() == [1, 1, 1]  # without a warning of torch


def test_a_transform_is_applied_in_every_split() -> None:
    data = ready(
        DatasetData(Digits(slice(200)), transform=lambda image: np.asarray(image.resize((4, 4)))[None] / 255.0)
    )
    assert data.input_shape == [1, 4, 4]
    for split in ("train", "val", "test"):
        batch = all_of(data, split)
        assert batch.inputs.dtype == torch.float32
        assert batch.inputs.shape[1:] == (1, 4, 4)
        assert float(batch.inputs.max()) <= 1


class Bright:
    """An augmentation that shows that it was there."""

    def set_random_state(self, numpy: np.random.Generator, python: Any) -> None:
        self.numpy = numpy

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        return {"image": np.full_like(image, self.numpy.integers(1, 255))}


def test_training_samples_are_augmented() -> None:
    data = ready(DatasetData(Digits(slice(100)), augment=[Bright()], batch_size=100, balance="sampler"))
    (batch,) = data.train_dataloader()
    assert all(len(set(image.flatten().tolist())) == 1 for image in batch.inputs)
    assert len({int(image[0, 0, 0]) for image in batch.inputs}) > 20
    assert all_of(data, "train").inputs.float().std() > 10


# Mistakes


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([])


class TooFew(TensorDataset):
    def __getitems__(self, rows: list[int]) -> list[Any]:
        return [self[row] for row in rows[1:]]


def pairs(inputs: Any = POINTS, targets: Any = CLASSES) -> list[Any]:
    return list(zip(inputs, targets, strict=True))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"train": Endless()}, DataError, r"train: Endless has no samples by number .* make a list of it"),
        (
            {"train": pairs(), "val": iter(pairs())},
            DataError,
            "val: zip has no samples|val: list_iterator has no samples",
        ),
        (
            {"train": {"train": pairs()}},
            DataError,
            r"got several data sets, 'train'; give one: DatasetData\(train=sets",
        ),
        ({"train": "my.csv"}, DataError, "train: 'my.csv' is a text, no data set; .* TabularData"),
        ({"train": []}, DataError, "train: the data set is empty"),
        (
            {"train": [torch.zeros(3)]},
            DataError,
            r"train: a sample is \(inputs, target\) or a mapping; row 0 holds Tensor",
        ),
        ({"train": [(torch.zeros(3),)]}, DataError, "row 0 has nothing at 1: it is tuple"),
        ({"train": flowers()}, ConfigError, "inputs: say where the inputs are, one or several of measures, garden"),
        (
            {"train": flowers(), "inputs": "measure"},
            DataError,
            "train, row 0: unknown key 'measure'; did you mean 'measures'",
        ),
        (
            {"train": flowers(), "inputs": "garden"},
            DataError,
            "row 0: the inputs are str 'g0', no tensor, array or image",
        ),
        (
            {"train": HuggingFace({"x": POINTS.tolist(), "y": CLASSES})},
            ConfigError,
            "target: say where the target is, one of x, y",
        ),
        ({"train": flowers(kind=[None, *CLASSES[1:]]), "inputs": "measures"}, DataError, "1 samples have no target"),
        ({"train": pairs(targets=[*CLASSES[:-1], "cat"])}, DataError, "train: row 59 has 'cat' at 1, row 0 has 0"),
        (
            {"train": pairs(), "val": pairs(targets=["a"] * N)},
            DataError,
            "val: targets are like .*'a'.*, those of train",
        ),
        (
            {"train": Digits(), "val": Digits(slice(9), classes=["1", "2"])},
            DataError,
            "val: its classes are 1, 2, those of train 0 - zero, 1 - one, .* give it the same classes",
        ),
        ({"train": pairs(targets=[1] * N)}, ConfigError, "at least 2 classes, found 1"),
        (
            {"train": pairs(), "split_by": {"group": "who"}},
            ConfigError,
            "these data have no columns, and so no 'who'",
        ),
        (
            {"train": flowers(), "inputs": "measures", "split_by": {"group": "gardn"}},
            DataError,
            "unknown key 'gardn'; did you mean 'garden'",
        ),
    ],
)
def test_mistakes_are_said_before_training(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ready(DatasetData(**arguments))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            [*POINTS[:7], torch.zeros(5), *POINTS[8:]],
            r"train, row 7 has the shape \(5,\) .*, the first of train \(4,\)",
        ),
        ([*POINTS[:7], torch.zeros(4).byte(), *POINTS[8:]], r"train, row 7 has the shape \(4,\) \(torch.uint8\)"),
        ([*POINTS[:7], [1.0, "x", 2.0, 3.0], *POINTS[8:]], "train, row 7: the inputs are list, no tensor"),
        ([*POINTS[:7], Image.new("I", (2, 2)), *POINTS[8:]], "train, row 7 is an image of mode I; make it 8 bits"),
    ],
)
def test_a_sample_that_is_unlike_the_first_is_named(inputs: list[Any], message: str) -> None:
    data = ready(DatasetData(pairs(inputs), val_fraction=0.0, test_fraction=0.0))
    with pytest.raises(DataError, match=message):
        all_of(data, "train")


def test_a_batch_that_is_not_all_that_was_asked_for() -> None:
    data = ready(DatasetData(TooFew(POINTS, torch.tensor(CLASSES))))
    with pytest.raises(DataError, match=r"train: `__getitems__` of 2 rows gave 1 samples"):
        data.datasets["train"].__getitems__([0, 1])


# From a config

MODULE = """
from sklearn.datasets import load_digits
from torch.utils.data import Dataset

class MyDigits(Dataset):
    def __init__(self, start: int = 0, stop: int = 1797):
        digits = load_digits()
        self.images, self.numbers = digits.images[start:stop], digits.target[start:stop]
    def __len__(self):
        return len(self.numbers)
    def __getitem__(self, row):
        return self.images[row], int(self.numbers[row])

class Scale:
    def __init__(self, by: float):
        self.by = by
    def __call__(self, image):
        return image[None] * self.by
"""


def test_a_config_names_data_sets_of_ones_own(
    cli: Cli, write_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_digits.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def digits(**options: int) -> dict[str, Any]:
        return {"class_path": "my_digits.MyDigits", "init_args": options}

    scale = {"class_path": "my_digits.Scale", "init_args": {"by": 0.0625}}
    arguments = {"train": digits(stop=1500), "test": digits(start=1500), "transform": scale, "balance": "sampler"}
    path = write_config(data={"class_path": "DatasetData", "init_args": arguments})
    try:
        result = cli("fit", "--config", path, "--trainer.max_epochs", 2, "--data.target", 1)
        assert result.code == 0, result.err
        assert "accuracy" in result.out
        assert cli("test", "--config", path).code == 0
        lines = (tmp_path / "runs" / "small" / "version_0" / "split.csv").read_text().splitlines()
        assert sum(line.endswith('"test"') for line in lines) == 297
        result = cli("fit", "--config", path, "--data.train.init_args.stop", 0)
        assert "train: the data set is empty" in result.error
    finally:
        sys.modules.pop("my_digits", None)
