"""The checks of data modules: good ones pass, and each check fails on one that is broken in exactly this way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fulmen import ArrayData, Batch, DigitsData, IrisData
from fulmen.core.restoring import is_restoring
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


class Words(Base):
    """Texts as numbers of a vocabulary, as a data module of texts gives them.

    Args:
        **kwargs: Arguments of SupervisedDataModule.
    """

    extra_facts = ("vocabulary_size",)
    vocabulary_size = 12

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inputs = (self.inputs * 12).long()
        self.standardize = False


test_texts = check_datamodule(Words)


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


def reading(**facts: Any) -> type[Words]:
    """Texts whose facts are others."""

    class Broken(Words):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            for name, value in facts.items():
                setattr(self, name, value)

    return Broken


class FloatTokens(Words):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch._replace(inputs=batch.inputs.float())


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


class Misnamed(Base):
    def identity(self, split: str, rows: Tensor) -> list[object]:
        return list(range(len(rows)))  # places in a batch


class Forgetful(Base):
    """Its split file names samples as nobody else does."""

    def write_split(self, path: Path) -> None:
        path.write_text("sample,split\n" + "".join(f"{i},{'train' if i else 'val'}\n" for i in range(40)))


class FromFile(Base):
    """It reads no file."""

    def build_datasets(self) -> Any:
        self.splitting = replace(self.splitting, by=None)
        return super().build_datasets()


class SameFold(Base):
    def view(self, fold: int, folds: int) -> Any:
        return super().view(0, folds)


class LosingFolds(Base):
    def view(self, fold: int, folds: int) -> Any:
        view = super().view(fold, folds)
        view.setup("fit")
        view.datasets["train"] = TensorRows(self.inputs, self.targets, view.datasets["train"].rows[1:])
        return view


class OtherTest(Base):
    def view(self, fold: int, folds: int) -> Any:
        view = super().view(fold, folds)
        view.splitting = replace(view.splitting, seed=fold + 1)
        return view


class Disturbed(Base):
    def view(self, fold: int, folds: int) -> Any:
        self.datasets.pop("val", None)
        return super().view(fold, folds)


class Relearning(Base):
    """One that is restored learns anew, here from its own state."""

    def build_datasets(self) -> Any:
        parts = super().build_datasets()
        if is_restoring():
            parts["val"] = TensorRows(self.inputs + 1, self.targets, parts["val"].rows)
        return parts


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
    ("facts", stating(target_type="regression"), "there are 2 class_names for 1 values"),
    ("batches_named", giving(lambda batch: {"x": batch.inputs}), "cannot be read"),
    ("batches_named", replaced(targets=lambda t: None), "has no targets"),
    ("batches_named", replaced(index=lambda i: None), "has no index"),
    ("shapes", stating(input_shape=[4]), r"have the shape \[3\]"),
    ("shapes", replaced(inputs=lambda x: x.double()), "torch.float64"),
    ("shapes", replaced(inputs=lambda x: x / 0), "NaN or infinite"),
    ("shapes", replaced(targets=lambda t: t[1:]), "not equally many"),
    ("shapes", reading(vocabulary_size=3), "from 0 to vocabulary_size - 1 = 2"),
    ("shapes", reading(input_shape=[2]), "give .N, L. with L from 1 to 2"),
    ("shapes", FloatTokens, "tokens reach the network as torch.float32"),
    ("targets_in_range", replaced(targets=lambda t: t + 1), "train targets: .*out of range: 2"),
    ("batch_size", Fixed, "with batch_size 4 a batch holds 5"),
    ("splits_disjoint", Overlapping, "samples are in train and in val"),
    ("evaluation_complete", Twice, "more than once"),
    ("evaluation_complete", Dropping, "do not drop the last batch"),
    ("evaluation_complete", ShuffledEvaluation, "another order"),
    ("training_shuffled", Unshuffled, "every epoch trains in the same order"),
    ("training_shuffled", GloballyShuffled, "different orders"),
    ("same_split", GlobalSplit, "holds other samples"),
    ("split_file", Misnamed, "calls several samples .'0'.; mend identity"),
    ("split_file", Forgetful, "disagree on"),
    ("split_file", FromFile, "samples are elsewhere"),
    ("folds", SameFold, "do not validate in exactly one"),
    ("folds", LosingFolds, "of 40 samples"),
    ("folds", OtherTest, "other test samples"),
    ("folds", Disturbed, "changed the data's own split"),
    ("workers", WorkersDiffer, "two worker processes give other val batches"),
    ("state_dict", Unsafe, "refused by safe loading"),
    ("state_dict", Deaf, "gives other batches"),
    ("state_dict", Relearning, "made while a checkpoint is restored"),
    ("trainer_runs", reading(vocabulary_size=2), "a training with it fails"),
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


@pytest.mark.parametrize("name", ["batch_size", "workers", "split_file", "folds"])
def test_what_it_does_not_have_is_not_checked(name: str) -> None:
    assert run_check(CHECKS[name], DataModule("datamodule", Foreign))


def test_facts_that_no_model_takes_are_skipped() -> None:
    class Odd(Base):
        extra_facts = ("moon_phase",)
        moon_phase = 3

    assert run_check(CHECKS["trainer_runs"], DataModule("datamodule", Odd)) == "no model of Fulmen takes moon_phase"


def test_the_second_import_leaves_no_class_behind() -> None:
    """Two classes of one name would make ``class_path: IrisData`` ambiguous for the rest of the process."""
    run_check(CHECKS["import_changes_nothing"], DataModule("datamodule", IrisData))
    assert [cls.__name__ for cls in ArrayData.__subclasses__()].count("IrisData") == 1
