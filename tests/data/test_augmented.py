"""Augmentations of training samples: for those alone, and the same whatever loads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from fulmen.augment import Pipeline, TextPipeline
from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError, DataError, SpecError
from fulmen.data import ArrayData, ImageFolderData, IrisData
from fulmen.data.augmented import Augmented
from fulmen.data.base import BatchedDataset, SupervisedDataModule
from fulmen.modules import MLPModule


class Noise:
    """Adds a number to each image that shows which draw it was."""

    def __init__(self, most: int = 200) -> None:
        self.most = most

    def set_random_state(self, numpy: np.random.Generator, python: Any) -> None:
        self.numpy = numpy

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        return {"image": image + np.asarray(self.numpy.integers(1, self.most), image.dtype)}


class Crop(Noise):
    """Cuts the upper left corner off, of half the size."""

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        return {"image": image[: image.shape[0] // 2, : image.shape[1] // 2]}


def arrays(samples: int = 50, **options: Any) -> ArrayData:
    images = torch.zeros(samples, 1, 2, 3, dtype=torch.uint8)
    targets = torch.arange(samples) % 3
    return ArrayData(images, targets, **{"batch_size": 8, "augment": [Noise()], **options})


def epoch(data: SupervisedDataModule, number: int) -> dict[int, int]:
    """What became of each training sample in an epoch, by its row."""
    data.setup("fit")
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return {
        int(row): int(image.sum()) for batch in loader for row, image in zip(batch.index, batch.inputs, strict=True)
    }


def test_each_epoch_draws_anew_and_each_sample_by_itself() -> None:
    first, second = epoch(arrays(), 0), epoch(arrays(), 1)
    common = sorted(set(first) & set(second))
    assert len(common) >= 32
    assert sum(first[row] == second[row] for row in common) <= 3
    assert len(set(first.values())) > 20


def test_the_same_epoch_draws_the_same() -> None:
    data = arrays()
    first = epoch(data, 3)
    epoch(data, 4)
    assert epoch(data, 3) == first


def test_the_seed_of_the_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = epoch(arrays(), 0)
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    second = epoch(arrays(), 0)
    common = set(first) & set(second)
    assert sum(first[row] == second[row] for row in common) <= 3


def test_batch_size_plays_no_part() -> None:
    one, other = epoch(arrays(batch_size=7), 2), epoch(arrays(batch_size=16), 2)
    common = set(one) & set(other)
    assert len(common) >= 32
    assert {row: one[row] for row in common} == {row: other[row] for row in common}


@pytest.mark.slow
def test_workers_play_no_part_over_several_epochs() -> None:
    by_workers = {}
    for workers in (0, 1, 2):
        data = arrays(num_workers=workers)
        data.setup("fit")
        loader: Any = data.train_dataloader()  # one loader: its workers stay from epoch to epoch
        by_workers[workers] = []
        for number in range(3):
            loader.sampler.set_epoch(number)
            by_workers[workers].append([(b.index.tolist(), b.inputs.tolist()) for b in loader])
    assert by_workers[0] == by_workers[1] == by_workers[2]
    assert by_workers[0][0] != by_workers[0][1]


class Seen(LightningModule):
    """Notes what became of each training sample, in a buffer, which comes back from processes."""

    def __init__(self, epochs: int, samples: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros(epochs, samples, dtype=torch.long))

    def on_train_epoch_start(self) -> None:
        self.mine: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        assert batch.index is not None
        self.mine.append(torch.stack([batch.index, batch.inputs.mul(255).round().long().sum((1, 2, 3))]))
        return self.weight.sum()

    def on_train_epoch_end(self) -> None:
        index, sums = torch.cat(self.mine, 1)
        self.seen[self.current_epoch, index] = sums
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.seen[self.current_epoch])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.slow
def test_processes_play_no_part() -> None:
    found = []
    for processes in (1, 2):
        strategy: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2} if processes == 2 else {"devices": 1}
        module, quiet = Seen(3, 64), {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        options: dict[str, Any] = {**quiet, **strategy, "enable_checkpointing": False, "limit_val_batches": 0}
        trainer = Trainer(accelerator="cpu", max_epochs=3, **options)
        trainer.fit(module, arrays(64, batch_size=8 // processes, val_fraction=0.0, test_fraction=0.0))
        found.append(module.seen)
    assert (found[0] > 0).all()
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0][0], found[0][1])


def test_only_training_samples_are_augmented() -> None:
    data = arrays(predict_split="val")
    data.setup("fit")
    train: Any = data.train_dataloader()
    assert min(int(b.inputs.amin()) for b in train) > 0
    loaders: list[Any] = [data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()]
    for loader in loaders:
        assert max(int(b.inputs.amax()) for b in loader) == 0


def test_evaluation_makes_no_augmentation() -> None:
    data = arrays(augment=["of_a_plugin_that_is_not_here"])
    data.setup("test")
    assert len(list(data.test_dataloader())) == 1
    with pytest.raises(SpecError, match="unknown image augmentation 'of_a_plugin_that_is_not_here'"):
        data.train_dataloader()


def test_statistics_are_those_of_the_samples_as_they_are() -> None:
    data = arrays(standardize=True)
    data.setup("fit")
    assert float(data.statistics["mean"].abs().max()) == 0.0


def test_without_augmentation_rows_are_rows() -> None:
    data = arrays(augment=None)
    data.setup("fit")
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(5)
    assert max(loader.sampler) < len(data.datasets["train"])
    assert data.training_samples() is data.datasets["train"]


def test_vectors_are_refused() -> None:
    data = IrisData(augment=[Noise()])
    data.setup("fit")
    with pytest.raises(ConfigError, match=r"augment: .*need images \(C, H, W\); these samples have the shape \[4\]"):
        data.train_dataloader()


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_floats_beyond_0_and_1_are_refused(value: float) -> None:
    images = torch.rand(30, 1, 2, 3)
    images[:, 0, 0, 0] = value
    data = ArrayData(images, torch.arange(30) % 3, augment=[Noise()])
    data.setup("fit")
    with pytest.raises(DataError, match=r"augment: the images hold values from .* scale them to \[0, 1\]"):
        data.train_dataloader()


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_failure_names_the_sample(workers: int) -> None:
    data = arrays(augment=[Crop()], num_workers=workers)
    data.setup("fit")
    with pytest.raises(DataError, match=r"\(Crop\) makes row \d+ an image of \(1, 1, 1\) uint8"):
        list(data.train_dataloader())


def test_training_stops_before_the_first_step() -> None:
    data = arrays(augment=[Crop()])
    module = MLPModule(hidden_features=[4], input_shape=[1, 2, 3], num_outputs=3)
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    with pytest.raises(DataError, match=r"\(Crop\) makes row"):
        trainer.fit(module, data)
    assert trainer.global_step == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for name in ("a", "b"):
            for i in range(count):
                path = tmp_path / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (40, 60 + 10 * i, 3), dtype=np.uint8)).save(path)
    return tmp_path


class Sizes(Noise):
    """Notes the sizes that it sees."""

    seen: list[tuple[int, ...]] = []  # noqa: RUF012

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        self.seen.append(image.shape)
        return {"image": image}


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentations_see_the_whole_image_of_a_file(folder: Path, channels: Any) -> None:
    Sizes.seen.clear()
    data = ImageFolderData(
        str(folder), image_size=28, channels=channels, augment=[Sizes()], num_workers=0, batch_size=4
    )
    data.setup("fit")
    (first, *_rest) = data.train_dataloader()
    assert first.inputs.shape == (4, channels, 28, 28)
    assert first.inputs.dtype == torch.uint8
    assert {shape[0] for shape in Sizes.seen} == {32}  # 28 / 0.875
    assert {shape[1] for shape in Sizes.seen} == {48, 56, 64, 72}
    assert {shape[2] for shape in Sizes.seen} == {channels}


def test_an_image_that_nothing_is_done_to_is_cut_as_without(folder: Path) -> None:
    options: Any = {"image_size": 28, "num_workers": 0, "batch_size": 8}
    plain, augmented = (ImageFolderData(str(folder), augment=a, **options) for a in (None, [Sizes()]))
    found = []
    for data in (plain, augmented):
        data.setup("fit")
        (batch,) = data.train_dataloader()
        found.append(batch.inputs[batch.index.argsort()].float())
    # once resized and cut, once cut out while resizing: the same pixels up to rounding and the outermost ones
    assert float((found[0] - found[1]).abs().mean()) < 6.0
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] > 0.97


def test_small_results_are_enlarged(folder: Path) -> None:
    data = ImageFolderData(str(folder), image_size=28, augment=[Crop()], num_workers=0, batch_size=8)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch.inputs.shape == (8, 3, 28, 28)


class Texts(SupervisedDataModule):
    """Texts in a list: the place of text augmentation."""

    target_type = "binary"
    num_outputs = 1
    class_names = None
    input_shape = [1]  # noqa: RUF012

    def build_pipeline(self, specs: Any) -> Pipeline:
        return TextPipeline(specs)

    def build_datasets(self) -> dict[str, BatchedDataset]:
        return {"train": Sentences(), "val": Sentences()}


class Sentences:
    def __len__(self) -> int:
        return 12

    def __getitems__(self, rows: list[int]) -> Batch:
        texts: Any = [f"sentence number {row}" for row in rows]
        return Batch(texts, torch.zeros(len(rows), dtype=torch.long), torch.tensor(rows))


class Stamp:
    def set_random_state(self, numpy: np.random.Generator, python: Any) -> None:
        self.numpy = numpy

    def augment(self, text: str) -> str:
        return f"{text} {self.numpy.integers(10**9)}"


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_texts_are_augmented_in_training_alone(workers: int) -> None:
    data = Texts(batch_size=5, augment=[Stamp()], num_workers=workers)
    data.setup("fit")
    loader: Any = data.train_dataloader()
    epochs = []
    for number in range(2):
        loader.sampler.set_epoch(number)
        epochs.append({int(r): text for batch in loader for r, text in zip(batch.index, batch.inputs, strict=True)})
    expected = TextPipeline([Stamp()])
    for number, found in enumerate(epochs):
        assert all(
            text == expected([f"sentence number {row}"], torch.tensor([row]), number)[0] for row, text in found.items()
        )
    assert epochs[0] != epochs[1]
    evaluated: Any = data.val_dataloader()
    assert [t for batch in evaluated for t in batch.inputs] == [f"sentence number {row}" for row in range(12)]


def test_one_draw_gives_one_sample() -> None:
    data = arrays()
    data.setup("fit")
    samples = data.training_samples()
    assert isinstance(samples, Augmented)
    assert samples[3].inputs.shape == (1, 2, 3)
    assert torch.equal(samples[3].inputs, samples.__getitems__([3, 4]).inputs[0])
    assert not torch.equal(samples[3].inputs, samples[3 + len(samples)].inputs)
