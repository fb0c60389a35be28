"""The search for a batch size."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import NetworkModule
from fulmen.workflows import SizeTrial, find_batch_size
from fulmen.workflows.batch_size import fast_enough
from fulmen.workflows.memory import next_exceeds, peak_memory

QUIET: dict[str, Any] = {"accelerator": "cpu", "devices": 1}
PAUSE = 0.02


def data(count: int = 20) -> ArrayData:
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return ArrayData(inputs, (inputs[:, 0] > 0).long(), batch_size=3, val_fraction=0.0, test_fraction=0.0)


def module(cls: type[NetworkModule] = NetworkModule, *layers: nn.Module, **more: Any) -> NetworkModule:
    net = nn.Sequential(nn.Linear(4, 4), *layers, nn.Linear(4, 2))
    return cls(net, num_outputs=2, input_shape=[4], task="multiclass", **more)


class Slow(NetworkModule):
    """Takes 20 ms a step, whatever the batch holds."""

    def step(self, batch: Any, stage: Any) -> Tensor | None:
        time.sleep(PAUSE)
        return super().step(batch, stage)


class Small(NetworkModule):
    """Has memory for four samples."""

    def step(self, batch: Any, stage: Any) -> Tensor | None:
        if len(batch.inputs) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().step(batch, stage)


class Broken(NetworkModule):
    def step(self, batch: Any, stage: Any) -> Tensor | None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_sizes_double_up_to_the_training_samples() -> None:
    trained, samples = module(), data()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    found = find_batch_size(trained, samples, steps=2, trainer=QUIET)
    assert [trial.size for trial in found.trials] == [1, 2, 4, 8, 16]
    assert found.ended == "samples"
    assert all(trial.samples_per_second and trial.memory for trial in found.trials)
    assert samples.batch_size == 3
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_the_highest_size_ends_the_search() -> None:
    found = find_batch_size(module(), data(), highest=5, steps=1, trainer=QUIET)
    assert ([trial.size for trial in found.trials], found.ended) == ([1, 2, 4], "highest")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_throughput_is_that_of_the_clock(accumulate: int) -> None:
    made = module(Slow, schedule={"name": "plateau", "monitor": "val/loss"})  # nothing is validated: it has to rest
    options = {**QUIET, "accumulate_grad_batches": accumulate}
    found = find_batch_size(made, data(), highest=4, steps=4, trainer=options)
    for trial in found.trials:
        assert trial.samples_per_second is not None
        assert 0.4 * trial.size / PAUSE < trial.samples_per_second <= trial.size / PAUSE
    assert found.suggestion == 4


def test_memory_that_ends_on_a_gpu() -> None:
    found = find_batch_size(module(Small), data(), steps=1, trainer=QUIET)
    assert found.ended == "memory"
    assert found.trials[-1] == SizeTrial(8, None, None, "out of memory")
    assert found.suggestion <= 4


def test_memory_that_would_end_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([100, 110, 130, 170])
    monkeypatch.setattr("fulmen.workflows.batch_size.peak_memory", lambda: next(peaks))
    monkeypatch.setattr("fulmen.workflows.batch_size.free_memory", lambda: 70)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = find_batch_size(module(), data(), steps=1, trainer=QUIET)
    assert found.ended == "memory"
    assert [trial.memory for trial in found.trials] == [100, 110, 130, 170]


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory()
    held = torch.ones(64 * 2**20 // 4 + 2**20)
    after = peak_memory()
    assert before is not None
    assert after is not None
    assert after >= before
    assert after > held.numel() * held.element_size()


def test_unknown_memory_is_no_reason_to_stop() -> None:
    assert not next_exceeds([None, None, None], 10)
    assert not next_exceeds([10, 1000], None)
    assert not next_exceeds([10], 1)


def test_one_sample_is_too_few_for_batch_normalization() -> None:
    found = find_batch_size(module(NetworkModule, nn.BatchNorm1d(4)), data(), highest=2, steps=1, trainer=QUIET)
    assert found.trials[0].note == "one sample is too few for batch normalization"
    assert found.suggestion == 2


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        find_batch_size(module(Broken), data(), steps=1, trainer=QUIET)


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="highest: 0 and steps: 1 must be at least 1"):
        find_batch_size(module(), data(), highest=0, steps=1)
    with pytest.raises(ConfigError, match="LightningDataModule has no attribute `batch_size`"):
        find_batch_size(module(), LightningDataModule())
    with pytest.raises(ConfigError, match="batch_size: a size of 1 cannot be trained with: out of memory"):
        fast_enough([SizeTrial(1, None, None, "out of memory")])
