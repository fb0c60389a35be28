"""Features that stand in for a split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from fulmen.core.batch import PADDING, Batch, Ready
from fulmen.data import ArrayData, DatasetData
from fulmen.data.base import BatchedDataset, SupervisedDataModule
from fulmen.data.features import FeatureRows, describe
from fulmen.data.sampler import ShardedSampler


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


class RunningTrainer:
    """What a datamodule reads of a trainer that fits."""

    def __init__(self, **options: Any) -> None:
        from lightning.pytorch.trainer.states import TrainerFn, TrainerState, TrainerStatus

        self.state = TrainerState(fn=TrainerFn.FITTING, status=TrainerStatus.RUNNING)
        self.distributed_sampler_kwargs = None
        self.limit_val_batches = 1.0
        self.__dict__.update(options)


def make_data(**options: Any) -> ArrayData:
    images = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    data = ArrayData(images, torch.arange(40) % 2, **{"batch_size": 8, "test_fraction": 0.0, **options})
    data.setup("fit")
    return data


def filled(data: SupervisedDataModule, split: str, views: int = 1) -> FeatureRows:
    """Each feature says which row and view it is of."""
    rows = FeatureRows(data, split, views)
    count = len(rows)
    numbers = torch.arange(views * count)
    rows.fill(torch.stack([numbers % count, numbers // count], 1).float())
    data.stand_ins[split] = rows
    return rows


def test_rows_have_the_targets_and_numbers_of_their_samples() -> None:
    data = make_data()
    for split in ("train", "val"):
        rows, plain = filled(data, split), data.datasets[split]
        asked = [3, 0, 2]
        found, expected = rows.__getitems__(asked), plain.__getitems__(asked)
        assert found.inputs[:, 0].tolist() == asked
        assert torch.equal(found.targets, expected.targets)  # type: ignore[arg-type]
        assert torch.equal(found.index, expected.index)  # type: ignore[arg-type]
        assert rows[1].targets == plain.__getitems__([1]).targets  # type: ignore[index]


def test_epochs_take_views_in_turn() -> None:
    rows = filled(make_data(augment=["flip"]), "train", views=3)
    count = len(rows)
    found = rows.__getitems__([epoch * count + 5 for epoch in range(7)])
    assert found.inputs.tolist() == [[5, epoch % 3] for epoch in range(7)]
    assert found.index is not None
    assert len(found.index.unique()) == 1


def test_padding_is_no_sample() -> None:
    rows = filled(make_data(), "val")
    found = rows.__getitems__([0, PADDING])
    assert found.index is not None
    assert found.index.tolist() == [int(rows.index[0]), PADDING]
    assert int(rows.index[-1]) != PADDING  # the data's own is as it was


def test_loaders_give_them_in_the_order_of_the_samples() -> None:
    data = make_data()
    expected = [batch.index for batch in data.train_dataloader()]
    data.trainer = RunningTrainer()  # type: ignore[assignment]
    filled(data, "train"), filled(data, "val")
    train, val = data.train_dataloader(), data.val_dataloader()
    found = list(train)
    assert [batch.index.tolist() for batch in found] == [index.tolist() for index in expected]
    assert all(isinstance(batch, Ready) for batch in found)
    (batch,) = val  # type: ignore[misc]
    assert len(batch.inputs) == len(data.datasets["val"])


def test_limited_validation_keeps_its_batches() -> None:
    data = make_data(val_fraction=0.5, eval_batch_size=4)
    data.trainer = RunningTrainer(limit_val_batches=2)  # type: ignore[assignment]
    filled(data, "val")
    assert len(data.val_dataloader()) == 5


def test_workers_are_for_samples_alone() -> None:
    data = make_data(num_workers=2)
    data.trainer = RunningTrainer()  # type: ignore[assignment]
    filled(data, "train")
    assert data.train_dataloader().num_workers == 0
    assert data.in_order(data.datasets["train"], [1], 1).num_workers == 2


def test_only_a_running_fit_loads_them() -> None:
    from lightning.pytorch.trainer.states import TrainerFn, TrainerState, TrainerStatus

    data = make_data()
    filled(data, "train"), filled(data, "val")
    assert next(iter(data.train_dataloader())).inputs.ndim == 4
    running = TrainerStatus.RUNNING
    for fn, status in ((TrainerFn.VALIDATING, running), (TrainerFn.FITTING, TrainerStatus.INTERRUPTED)):
        data.trainer = RunningTrainer(state=TrainerState(fn=fn, status=status))  # type: ignore[assignment]
        assert next(iter(data.val_dataloader())).inputs.ndim == 4
    data.setup("fit")
    assert not data.stand_ins
    assert not data.view(0, 2).stand_ins


def test_ready_batches_are_not_normalized() -> None:
    data = make_data()
    inputs = torch.ones(2, 5)
    moved = data.transfer_batch_to_device(Ready(inputs, torch.zeros(2), None), torch.device("cpu"), 0)
    assert type(moved) is Ready
    assert data.on_after_batch_transfer(moved, 0).inputs is moved.inputs
    images = Batch(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8))
    assert data.on_after_batch_transfer(images, 0).inputs.dtype == torch.float32


def test_in_order_gives_what_is_asked_for() -> None:
    data = make_data(augment=["flip"])
    samples = data.training_samples()
    count = len(data.datasets["train"])
    draws = [4, count + 4, 0]
    batches = list(data.in_order(samples, draws, 2))
    assert [len(batch.inputs) for batch in batches] == [2, 1]
    assert torch.equal(torch.cat([b.inputs for b in batches]), samples.__getitems__(draws).inputs)


class Own(Dataset[Batch]):
    """A data set that holds no targets."""

    def __len__(self) -> int:
        return 6

    def __getitems__(self, rows: list[int]) -> Batch:
        numbers = torch.tensor(rows)
        return Batch(numbers[:, None].float(), numbers % 3, numbers + 100)


class OwnData(SupervisedDataModule):
    target_type, num_outputs, class_names, input_shape = "multiclass", 3, ["a", "b", "c"], [1]

    def build_datasets(self) -> dict[str, BatchedDataset]:
        return {"train": Own(), "val": Own()}


def test_targets_are_read_where_a_data_set_does_not_hold_them() -> None:
    data = OwnData()
    data.setup("fit")
    rows = filled(data, "val")
    assert rows.targets.tolist() == [0, 1, 2, 0, 1, 2]
    assert rows.index.tolist() == [100, 101, 102, 103, 104, 105]


# What features depend on


def described(inputs: Tensor, targets: Tensor, split: str = "train", views: int = 1, **options: Any) -> dict[str, Any]:
    data = DatasetData(TensorDataset(inputs, targets), **{"val_fraction": 0.25, "test_fraction": 0.0, **options})
    data.setup("fit")
    return describe(FeatureRows(data, split, views))


def test_a_description_is_of_content_alone() -> None:
    inputs, targets = torch.rand(24, 3, 8, 8), torch.arange(24) % 2
    first = described(inputs, targets)
    assert first == described(inputs.clone(), targets.clone(), batch_size=5, num_workers=1)
    changed = inputs.clone()
    changed[:, :, 0, 0] += 1e-3
    assert described(changed, targets)["samples"] != first["samples"]
    assert described(inputs, (targets + 1) % 2)["samples"] != first["samples"]
    assert described(inputs, targets, split_seed=1)["samples"] != first["samples"]
    assert described(inputs, targets, transform=lambda x: x / 2)["network_sees"] != first["network_sees"]
    augmented = described(inputs, targets, augment=["flip"])
    assert augmented["augment"]["specs"] == ["flip"]
    assert augmented["augment"]["used"][0]["distribution"] == "fulmen-albumentations"
    assert described(inputs, targets, "val", augment=["flip"]) == described(inputs, targets, "val")


def test_draws_of_the_sampler_are_those_of_augmented_samples() -> None:
    data = make_data(augment=["flip"])
    rows = filled(data, "train", views=2)
    sampler = ShardedSampler(rows, shuffle=True, draws=rows.draws)
    sampler.set_epoch(3)
    assert set(rows.__getitems__(list(sampler)).inputs[:, 1].tolist()) == {1.0}
