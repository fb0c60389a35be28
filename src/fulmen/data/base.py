"""What every datamodule is: splits, loaders, and what it knows before ``setup``."""

from __future__ import annotations

import copy
import os
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, get_args

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fulmen.augment import ImagePipeline, Pipeline
from fulmen.core.batch import PADDING, Batch, Ready
from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError, ConfigError, DataError, unknown
from fulmen.core.restoring import restored_state, restoring
from fulmen.core.spec import ImageAugmentationSpecs
from fulmen.data.augmented import Augmented
from fulmen.data.sampler import ShardedSampler
from fulmen.data.split_files import write_split
from fulmen.data.splits import SPLITS
from fulmen.data.splitting import FoldAs, Samples, SplitBy, Splitting, Watched

if TYPE_CHECKING:
    from fulmen.data.findings import Finding

SplitName = Literal["train", "val", "test"]
TargetType = Literal["multiclass", "binary", "multilabel", "regression"]
Balance = Literal["class_weights", "sampler"]
_NAMES_AT_ONCE = 100_000
_AT_ONCE = 4096
"""Samples in an evaluation batch of stand-ins, at least: they are in memory, and each batch costs a step."""


class BatchedDataset(Protocol):
    """A data set that gives a whole batch at once."""

    def __len__(self) -> int: ...

    def __getitems__(self, rows: list[int]) -> Batch:
        """The samples of these rows; ``PADDING`` stands for any sample, with ``index`` ``PADDING``."""


class SupervisedDataModule(LightningDataModule):
    """Base of the datamodules. Subclasses override :meth:`build_datasets` and set the four facts below.

    The facts must be known as soon as the constructor has run: the command line hands them to the model.

    Args:
        batch_size: Samples a batch and process.
        eval_batch_size: The same for validation, test and prediction; ``None``: as ``batch_size``.
        num_workers: Processes that load batches; 0 loads in the main process.
        val_fraction: Share of the samples for validation, where the data have no split of their own.
        test_fraction: Share of the samples for the test, where the data have no split of their own.
        split_seed: Seed of the split. It is apart from ``seed_everything``, so that runs with different
            seeds are compared on the same samples.
        predict_split: Which split ``predict`` reads; ``None``: the test split, or validation without one.
        augment: Specs of the augmentations of training samples, in order. What they do to a sample depends on
            ``seed_everything``, the epoch and the sample alone.
        split_by: What decides who trains, validates and tests: ``class`` (shares hold in every class; where samples
            are files, on average), ``random``, ``{group: COLUMN}`` (equal values stay on one side), ``{time: COLUMN}``
            (the newest test, the oldest train), ``{column: COLUMN}`` (it says train, val or test), ``{file: PATH}`` (a
            ``split.csv`` of a run; samples that it does not name are split as without it); ``None``: by class where
            there are classes, and what the data say themselves (folders, files) comes first.
        folds: Number of folds of a cross-validation; all but the test samples are divided among them, also those
            that the data give for validation. By time, a fold trains on what is older alone.
        fold: Which fold validates, from 0.
        fold_as: What this fold does: ``val``: it validates; ``test``: it is scored as the test split, and has no say in
            the training: ``val_fraction`` of the samples of the other folds validate, and the test samples of the data
            are in no split; ``train``: it trains too, all but the test samples do.
        fold_repeat: Another number draws other folds; the test samples stay.
        balance: What is done about rare classes in training: ``class_weights`` (samples of rare classes weigh more in
            the loss), ``sampler`` (they are drawn more often), or nothing.

    Attributes:
        target_type: The task that the targets are made for.
        num_outputs: Number of classes (1 for yes/no targets), labels or values.
        class_names: Name of each class or label, or of each of several values; ``None`` for a regression without such.
        input_shape: Shape of one sample.
        extra_facts: Names of further attributes that a model must be given, such as a vocabulary's size.
        advice: What to do, by name, where a model does not take such an attribute.
        learned: What was learned from the training split, in names and numbers; it travels in the checkpoint.
        stand_ins: What ``fit`` loads instead of a split, by its name, such as the features that a frozen network
            makes of the images: as many samples in the same order, in batches of the class ``Ready``.
    """

    extra_facts: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[dict[str, str]] = {}
    target_type: TargetType
    num_outputs: int
    class_names: list[str] | None
    input_shape: list[int]

    def __init__(
        self,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        split_seed: int = 0,
        predict_split: SplitName | None = None,
        augment: ImageAugmentationSpecs = None,
        split_by: SplitBy = None,
        folds: int | None = None,
        fold: int = 0,
        fold_as: FoldAs = "val",
        fold_repeat: int = 0,
        balance: Balance | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", batch_size if eval_batch_size is None else eval_batch_size, 1),
            ("num_workers", num_workers, 0),
        ):
            if value < least:
                raise ConfigError(f"{name}: {value} is out of range; allowed: at least {least}")
        if balance not in (None, *get_args(Balance)):
            raise ConfigError(f"balance: {unknown('way', str(balance), get_args(Balance))}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.splitting = Splitting(val_fraction, test_fraction, split_seed, split_by, folds, fold, fold_as, fold_repeat)
        self.balance = balance
        self.predict_split = predict_split
        self.augment = augment
        self._pipeline: Pipeline | None = None
        self.datasets: dict[str, BatchedDataset] = {}
        self.stand_ins: dict[str, BatchedDataset] = {}
        self.statistics: dict[str, Tensor] = {}
        self.learned: dict[str, Any] = (restored_state(type(self)) or {}).get("learned", {})

    # What a subclass overrides

    @abstractmethod
    def build_datasets(self) -> dict[str, BatchedDataset]:
        """The data sets by split: ``train``, and ``val``, ``test`` and ``predict`` where there are any.

        May also fill ``self.statistics`` with what it learned from the training split.
        """

    def identity(self, split: str, rows: Tensor) -> Sequence[object]:
        """What a sample is called in predictions and in ``split.csv``: here its row's number; a path for files.

        Args:
            split: Which split it is in.
            rows: ``(N,)`` as ``Batch.index`` has them.

        Returns:
            ``N`` names; those that :class:`~fulmen.data.splitting.Samples` has as ``keys``, where it has any.
        """
        return rows.tolist()

    def sample_columns(self, split: str) -> list[str]:
        """Names of what is known of the samples beside inputs and targets: columns of a table, parts of a path.

        Args:
            split: Which split they are in.
        """
        return []

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """What is known of the samples of a split, by which a report divides them.

        Args:
            split: Which split they are in.
            names: Some of :meth:`sample_columns`.

        Returns:
            Name -> ``(N,)`` values in the order of the data set; missing ones are ``None`` or not a number.

        Raises:
            ConfigError: If there is no such column.
        """
        known = self.sample_columns(split)
        for name in names:
            if name not in known:
                raise ConfigError(f"slices: {unknown('column', name, known, type(self).__name__)}")
        return {}

    def build_pipeline(self, specs: Sequence[object]) -> Pipeline:
        """The augmentations of training samples; here of images ``(C, H, W)``.

        Args:
            specs: Their specs.

        Raises:
            ConfigError: If the samples are no images.
        """
        if len(self.input_shape) != 3:
            raise ConfigError(
                f"augment: image augmentations need images (C, H, W); these samples have the shape {self.input_shape}"
            )
        return ImagePipeline(specs, self.input_shape, _seed())

    def normalize(self, inputs: Tensor) -> Tensor:
        """Makes raw inputs into what the network sees: a whole batch at once, on the device."""
        if inputs.dtype == torch.uint8:
            inputs = inputs.float() / 255
        if "mean" in self.statistics:
            mean, std = (self.statistics[k].to(inputs.device) for k in ("mean", "std"))
            inputs = (inputs - mean) / std
        return inputs

    # Lightning's hooks

    def setup(self, stage: str) -> None:
        """Builds the data sets once."""
        if stage:  # each run asks for its own
            self.stand_ins = {}
        if self.datasets:
            return
        self.datasets = {name: data for name, data in self.build_datasets().items() if len(data)}
        if "train" not in self.datasets and not self.learned:  # a checkpoint's data may predict without
            raise DataError("the training split is empty")

    def checks(self) -> Iterable[Finding]:
        """What a person should know about these data before they train on them; the data sets are built.

        A subclass adds its own: ``yield from super().checks()``, then ``yield Finding(...)``.
        """
        from fulmen.data.checks import standard_checks

        return standard_checks(self)

    def check(self) -> list[Finding]:
        """Builds the data sets and looks for corrupt files, duplicates, leaks and the like; errors come first."""
        from fulmen.data.checks import check_data

        return check_data(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch part by part; Lightning's own search for tensors takes longer than a small batch's copy."""
        if not isinstance(batch, Batch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        moved = [part if part is None else part.to(device, non_blocking=True) for part in batch]
        return type(batch)(*moved)  # type: ignore[arg-type]  # inputs are never None

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalizes the inputs, and gives what comes of them the precision that the trainer asks for."""
        if not isinstance(batch, Batch) or isinstance(batch, Ready):
            return batch
        inputs = self.normalize(batch.inputs)
        if self.trainer is not None:  # Lightning has converted what was loaded: bytes, which have none
            inputs = self.trainer.precision_plugin.convert_input(inputs)
        return batch._replace(inputs=inputs)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches."""
        return self._loader("train", shuffle=True)

    def training_samples(self) -> BatchedDataset:
        """What the training batches are made of: the training split, augmented if that is asked for.

        Raises:
            DataError: If it is empty.
        """
        data = self.datasets.get("train")
        if data is None:
            raise DataError("the training split is empty")
        if not self.augment:
            return data
        if self._pipeline is None:  # made when it is needed: evaluation does without
            self._pipeline = self.build_pipeline(self.augment)
        return Augmented(data, self._pipeline)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Every validation sample once; an empty list where there are none."""
        return self._loader("val") if "val" in self.datasets else []

    def test_dataloader(self) -> DataLoader[Any]:
        """Every test sample once.

        Raises:
            DataError: If there is no test split.
        """
        if "test" not in self.datasets:
            raise DataError("there is no test split; set data.test_fraction, or use `validate`")
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Every sample to predict once: those given to predict, else a split."""
        return self._loader(self.predicted_split)

    @property
    def predicted_split(self) -> str:
        """What :meth:`predict_dataloader` reads.

        Raises:
            DataError: If that split is empty.
        """
        wanted = [self.predict_split] if self.predict_split else ["predict", "test", "val"]
        found = next((name for name in wanted if name in self.datasets), None)
        if found is None:
            raise DataError(f"there is nothing to predict: no sample in {' or '.join(wanted)}")
        return found

    def state_dict(self) -> dict[str, Any]:
        """What was learned from the training split: it travels in the checkpoint."""
        return {"statistics": self.statistics, "learned": self.learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what a checkpoint's training split taught."""
        learned = state_dict.get("learned", {})
        if not _equal(learned, self.learned):
            self.learned, self.datasets = learned, {}
            self.setup("")
        self.statistics = state_dict["statistics"]

    @classmethod
    def from_checkpoint(cls, path: str | Path, **kwargs: Any) -> Self:
        """Makes a datamodule with what a checkpoint's training split taught, such as the tokenizer.

        It learns nothing, and needs no training file to predict.

        Args:
            path: A checkpoint of a model that was trained on such data.
            **kwargs: Arguments of the class.

        Raises:
            CheckpointError: If it is no checkpoint, or holds nothing of such data.
        """
        checkpoint = load_safely(Path(path))
        if cls.__qualname__ not in checkpoint:
            raise CheckpointError(
                f"{path} holds nothing that {cls.__name__} learned; was the model trained on other data?"
            )
        with restoring(checkpoint):
            return cls(**kwargs)

    def view(self, fold: int, folds: int, fold_as: FoldAs = "val", fold_repeat: int = 0) -> Self:
        """The same data with another split: all but the test samples in folds, of which one validates.

        Args:
            fold: Which fold validates, from 0.
            folds: How many there are.
            fold_as: What this fold does, see the argument of the class.
            fold_repeat: Which repetition, from 0.

        Returns:
            A new datamodule that shares what is in memory, before its ``setup``; it learns from its own training
            samples.

        Raises:
            ConfigError: If there is no such fold.
        """
        made = copy.copy(self)
        made.splitting = replace(self.splitting, fold=fold, folds=folds, fold_as=fold_as, fold_repeat=fold_repeat)
        made.datasets, made.statistics, made.learned, made._pipeline = {}, {}, {}, None
        made.stand_ins = {}
        made.trainer = None
        return made

    def split_samples(self) -> Samples:
        """What :attr:`splitting` divides; its keys, or row numbers, are the names in ``split.csv``.

        Raises:
            DataError: If the data cannot be read, or do not ask their ``splitting`` who trains.
        """
        watched = Watched(**asdict(self.splitting))
        watching = copy.copy(self)
        watching.splitting = watched
        view = watching.view(0, 2, "train")  # learns from all but the test samples, and does not fail for few of them
        view.prepare_data()
        if not watched.seen:
            view.setup("fit")
        if not watched.seen:
            raise DataError(f"{type(self).__name__} divides its samples without its `splitting`, and has no folds")
        return watched.seen[0]

    def write_split(self, path: Path) -> None:
        """Writes which sample is in which split; ``split_by: {file: PATH}`` reads it.

        Samples that are in no split (newer than a fold by time) are not in it.

        Args:
            path: A CSV file with the columns ``sample`` and ``split``.
        """
        write_split(path, self._names())

    def _names(self) -> Iterator[tuple[str, Sequence[object]]]:
        for split in SPLITS:
            dataset: Any = self.datasets.get(split, ())
            index = getattr(dataset, "rows", torch.arange(len(dataset)))
            for rows in index.split(_NAMES_AT_ONCE) if len(dataset) else ():
                yield split, self.identity(split, rows)

    def class_counts(self) -> Tensor | None:
        """How many training samples each class has, ``(C,)``; ``None`` where targets are no classes."""
        targets = self._train_classes()
        return None if targets is None else torch.bincount(targets, minlength=len(self.class_names or [0, 1]))

    def training_targets(self) -> Tensor | None:
        """The targets of the training split, ``(N,)`` or ``(N, K)``; ``None`` where the data set does not hold them."""
        dataset: Any = self.datasets.get("train")
        targets: Tensor | None = getattr(dataset, "targets", None)
        rows = getattr(dataset, "rows", None)
        return targets if targets is None or rows is None else targets[rows]

    def _train_classes(self) -> Tensor | None:
        targets = self.training_targets() if self.target_type in ("multiclass", "binary") else None
        return None if targets is None else targets.long()

    def _sample_weights(self) -> Tensor | None:
        """Weights of the training samples with which every class is drawn equally often."""
        if self.balance != "sampler":
            return None
        classes, counts = self._train_classes(), self.class_counts()
        if classes is None or counts is None:
            raise ConfigError(f"balance: {self.balance!r} needs targets that are classes; leave it out")
        return (1 / counts.clamp_min(1))[classes]

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Any]:
        stand_in: Any = self._stand_in(split)
        data: Any = stand_in
        if data is None:
            data = self.training_samples() if shuffle else self.datasets[split]
        replicas = {"num_replicas": 1, "rank": 0}
        if self.trainer is not None:
            replicas = self.trainer.distributed_sampler_kwargs or replicas
        if shuffle and len(data) < replicas["num_replicas"]:
            raise DataError(f"{len(data)} training samples cannot be shared by {replicas['num_replicas']} processes")
        size = self.batch_size if shuffle else self.eval_batch_size
        if stand_in is not None and not shuffle and getattr(self.trainer, "limit_val_batches", 1.0) == 1.0:
            size = max(size, _AT_ONCE)
        sampler = ShardedSampler(
            data,
            shuffle,
            _seed(),
            **replicas,
            draws=getattr(data, "draws", False),
            weights=self._sample_weights() if shuffle else None,
            lengths=getattr(self.datasets["train" if shuffle else split], "lengths", None),
            batch_size=size,
        )
        # batch normalization cannot be computed from one sample: a last batch of one is left out
        drop_last = shuffle and len(sampler) > 1 and len(sampler) % size == 1
        return self._batches(data, size, sampler, drop_last, workers=0 if stand_in is not None else self.num_workers)

    def _stand_in(self, split: str) -> BatchedDataset | None:
        if split not in self.stand_ins or self.trainer is None:
            return None
        state = self.trainer.state
        fitting = state.fn == TrainerFn.FITTING and state.status == TrainerStatus.RUNNING
        return self.stand_ins[split] if fitting else None

    def in_order(self, samples: BatchedDataset, draws: Sequence[int], batch_size: int) -> DataLoader[Any]:
        """Batches of the samples that are asked for, in this order, loaded as in training but not normalized.

        Args:
            samples: One of :attr:`datasets`, or :meth:`training_samples`.
            draws: Which of them: rows, or draws (see :class:`~fulmen.data.augmented.Augmented`).
            batch_size: Samples a batch.
        """
        return self._batches(samples, batch_size, draws, drop_last=False, workers=self.num_workers)

    def _batches(self, data: Any, size: int, sampler: Any, drop_last: bool, workers: int) -> DataLoader[Any]:
        return DataLoader(
            data,
            batch_size=size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_start_worker,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _equal(one: Any, other: Any) -> bool:
    """Whether two states hold the same; ``==`` of tensors gives a tensor."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    """Keeps OpenCV from starting threads in a worker: one process a core is enough.

    0 is the only number that is safe in a forked process: 1 waits for threads that only its parent has.
    """
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)


def _seed() -> int:
    """The seed of the run, as ``seed_everything`` left it."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


class TensorRows(Dataset[Batch]):
    """Some rows of tensors that are held in memory.

    Args:
        inputs: ``(M, *input_shape)``.
        targets: ``(M,)`` or ``(M, K)``.
        rows: ``(N,)`` int64: which rows belong to this data set, in order.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, rows: Tensor) -> None:
        self.inputs, self.targets, self.rows = inputs, targets, rows

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self, index: int) -> str:
        """What messages call a sample."""
        return f"row {index}"

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row]).first()

    def __getitems__(self, rows: list[int]) -> Batch:
        asked = torch.tensor(rows)
        index = self.rows[asked]
        inputs, targets = self.inputs[index], self.targets[index]
        if rows[-1] == PADDING:  # padding comes last, and gave the last sample
            index[asked == PADDING] = PADDING
        return Batch(inputs, targets, index)
