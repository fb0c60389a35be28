"""The checks of data modules: good ones pass, and each check fails on one that is broken in exactly this way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fulmen import ArrayData, Batch, DigitsData, IrisData
from fulmen.data.base import TensorRows
from fulmen.testing import check_datamodule
from fulmen.testing.data_subject import DataModule
from fulmen.testing.datamodules import CHECKS
from fulmen.testing.kit import run_check

test_iris = check_datamodule(IrisData)
test_digits = check_datamodule("fulmen.data.toy.DigitsData", options={"batch_size": 512})
_DIGITS = DigitsData


class Base(ArrayData):
    """Forty points that the others break.

    Args:
        **kwargs: Arguments of SupervisedDataModule.
    """

    def __init__(self, **kwargs: Any) -> None:
        points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
        super().__init__(points, torch.arange(40) % 2, **kwargs)


test_regression = check_datamodule("fulmen.data.DiabetesData", options={"batch_size": 64, "test_fraction": 0.0})


class Foreign(LightningDataModule):
    """No data module of ours, but with its facts."""

    target_type, num_outputs, class_names, input_shape = "binary", 1, ["no", "yes"], [3]

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.rand(8, 3), torch.arange(8) % 2), batch_size=4)


def stating(**facts: Any) -> type[Base]:
    """One whose facts are others."""

    class Broken(Base):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            for name, value in facts.items():
                setattr(self, name, value)

    return Broken


def giving(change: Callable[[Batch], Any]) -> type[Base]:
    """One whose batches reach the network as others."""

    class Broken(Base):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return change(super().on_after_batch_transfer(batch, dataloader_idx))

    return Broken


class Unknowing(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        del self.num_outputs


class Fixed(Base):
    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Any]:
        self.batch_size = 5
        return super()._loader(split, shuffle)


class Overlapping(Base):
    def build_datasets(self) -> Any:
        parts = super().build_datasets()
        return {**parts, "val": TensorRows(self.inputs, self.targets, torch.arange(8))}


class Twice(Base):
    def build_datasets(self) -> Any:
        parts = super().build_datasets()
        return {**parts, "val": TensorRows(self.inputs, self.targets, parts["val"].rows.repeat(2))}


class Dropping(Base):
    def val_dataloader(self) -> Any:
        return DataLoader(self.datasets["val"], batch_size=4, drop_last=True, collate_fn=lambda batch: batch)


class ShuffledEvaluation(Base):
    def val_dataloader(self) -> Any:
        return DataLoader(self.datasets["val"], batch_size=9, shuffle=True, collate_fn=lambda batch: batch)


class Unshuffled(Base):
    def train_dataloader(self) -> Any:
        return DataLoader(self.datasets["train"], batch_size=4, collate_fn=lambda batch: batch)


class GloballyShuffled(Base):
    def train_dataloader(self) -> Any:
        return DataLoader(self.datasets["train"], batch_size=4, shuffle=True, collate_fn=lambda batch: batch)


class GlobalSplit(Base):
    def build_datasets(self) -> Any:
        rows = torch.randperm(40)
        parts = {"train": rows[:20], "val": rows[20:30], "test": rows[30:]}
        return {name: TensorRows(self.inputs, self.targets, part) for name, part in parts.items()}


class ByProcess(TensorRows):
    def __getitems__(self, rows: list[int]) -> Batch:
        batch = super().__getitems__(rows)
        return batch._replace(inputs=batch.inputs + float(os.getpid()))


class WorkersDiffer(Base):
    def build_datasets(self) -> Any:
        parts = super().build_datasets()
        return {**parts, "val": ByProcess(self.inputs, self.targets, parts["val"].rows)}


class Unsafe(Base):
    def state_dict(self) -> dict[str, Any]:
        return {"path": Path()}


class Deaf(Base):
    def state_dict(self) -> dict[str, Any]:
        return {"statistics": {"mean": torch.zeros(3), "std": torch.zeros(3)}}


class Lambda(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = lambda: 1


def flat(batch: Batch) -> Batch:
    return batch._replace(inputs=batch.inputs.flatten())


def replaced(**parts: Callable[[Tensor], Any]) -> type[Base]:
    return giving(lambda batch: batch._replace(**{n: change(getattr(batch, n)) for n, change in parts.items()}))


CASES: list[tuple[str, Any, str]] = [
    ("facts", Unknowing, "does not know num_outputs"),
    ("facts", stating(target_type="classes"), "target_type is 'classes'"),
    ("facts", stating(num_outputs=2.0), "num_outputs is 2.0"),
    ("facts", stating(input_shape=torch.Size([])), "input_shape is"),
    ("facts", stating(class_names="ab"), "give a list of texts"),
    ("facts", stating(class_names=["a"]), "1 class_names for 2"),
    ("facts", stating(target_type="regression"), "of a regression are None"),
    ("batches_named", giving(lambda batch: {"x": batch.inputs}), "cannot be read"),
    ("batches_named", replaced(targets=lambda t: None), "has no targets"),
    ("batches_named", replaced(index=lambda i: None), "has no index"),
    ("shapes", stating(input_shape=[4]), r"have the shape \[3\]"),
    ("shapes", replaced(inputs=lambda x: x.double()), "torch.float64"),
    ("shapes", replaced(inputs=lambda x: x / 0), "NaN or infinite"),
    ("shapes", replaced(targets=lambda t: t[1:]), "not equally many"),
    ("targets_in_range", replaced(targets=lambda t: t + 1), "train targets: .*out of range: 2"),
    ("batch_size", Fixed, "with batch_size 4 a batch holds 5"),
    ("splits_disjoint", Overlapping, "samples are in train and in val"),
    ("evaluation_complete", Twice, "more than once"),
    ("evaluation_complete", Dropping, "do not drop the last batch"),
    ("evaluation_complete", ShuffledEvaluation, "another order"),
    ("training_shuffled", Unshuffled, "every epoch trains in the same order"),
    ("training_shuffled", GloballyShuffled, "different orders"),
    ("same_split", GlobalSplit, "holds other samples"),
    ("workers", WorkersDiffer, "two worker processes give other val batches"),
    ("state_dict", Unsafe, "refused by safe loading"),
    ("state_dict", Deaf, "gives other batches"),
    ("trainer_runs", stating(input_shape=[4]), "a training with it fails"),
    ("no_global_state", GlobalSplit, "torch's random numbers"),
    ("pickle", Lambda, "cannot be pickled"),
]


@pytest.mark.parametrize(("name", "component", "message"), CASES)
def test_a_broken_data_module_fails(fails: Callable[..., None], name: str, component: Any, message: str) -> None:
    fails(CHECKS[name], DataModule("datamodule", component), message)


def test_every_check_has_a_broken_data_module(covers: Callable[..., None]) -> None:
    covers("datamodule", CASES)


@pytest.mark.parametrize("name", ["facts", "targets_in_range", "shapes"])
def test_another_data_module_with_the_facts_passes(name: str) -> None:
    class Both(Foreign):
        val_dataloader = test_dataloader = Foreign.train_dataloader

    assert run_check(CHECKS[name], DataModule("datamodule", Both)) is None


@pytest.mark.parametrize("name", ["batch_size", "workers"])
def test_what_it_does_not_have_is_not_checked(name: str) -> None:
    assert run_check(CHECKS[name], DataModule("datamodule", Foreign))


def test_the_second_import_leaves_no_class_behind() -> None:
    """Two classes of one name would make ``class_path: IrisData`` ambiguous for the rest of the process."""
    run_check(CHECKS["import_changes_nothing"], DataModule("datamodule", IrisData))
    assert [cls.__name__ for cls in ArrayData.__subclasses__()].count("IrisData") == 1
