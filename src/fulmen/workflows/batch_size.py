"""Which batch size trains fastest, and what memory it takes."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.memory import is_oom_error

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.data.image_cache import free_memory
from fulmen.workflows.memory import next_exceeds, peak_memory
from fulmen.workflows.trial import run_trial, train_for

_WARM_UP = 2
"""Steps that are not timed: workers start, kernels are chosen, caches fill."""
_ENOUGH = 0.95
"""Share of the best throughput that a size must reach to be suggested."""
_TOO_FEW = "Expected more than 1 value"
"""How torch's batch normalization begins its refusal of a batch of one sample."""
_OUT_OF_MEMORY = "out of memory"

End = Literal["highest", "samples", "memory"]


@dataclass(frozen=True)
class SizeTrial:
    """Training steps at one batch size.

    Attributes:
        size: Samples a batch and process.
        samples_per_second: Over all processes; ``None`` where the size cannot be trained with.
        memory: Highest memory in bytes: on a GPU of this size, else of the process so far; ``None``: not known.
        note: Why it cannot be trained with.
    """

    size: int
    samples_per_second: float | None
    memory: int | None = None
    note: str = ""


@dataclass(frozen=True)
class SizeSearch:
    """Trials at doubling batch sizes.

    Attributes:
        trials: By size, rising.
        suggestion: The smallest size that reaches 95 % of the best throughput.
        ended: What kept the search from a larger one: ``highest``, the training ``samples``, or ``memory``.
    """

    trials: list[SizeTrial]
    suggestion: int
    ended: End


def find_batch_size(
    module: LightningModule,
    data: LightningDataModule,
    highest: int = 1024,
    steps: int = 10,
    trainer: Mapping[str, Any] | None = None,
) -> SizeSearch:
    """Trains copies of a module with batches of 1, 2, 4, ... samples, and measures speed and memory.

    The search ends at ``highest``, where a batch would hold more than all training samples, or where memory ends: a
    GPU says so; on a CPU, where a process would be killed, the search stops before it. The module and the data's
    batch size are left as they are.

    Args:
        module: What is to be trained.
        data: Its data, with an attribute ``batch_size``.
        highest: Largest size that is tried.
        steps: Timed optimizer steps a size, after two that are not.
        trainer: Options of the run's ``Trainer``, such as ``{"precision": "bf16-mixed"}``; loggers and callbacks are
            left out.

    Raises:
        ConfigError: If the data have no ``batch_size``, or no size can be trained with.

    Returns:
        The trials, and the smallest size that is fast enough: beyond it, a larger batch only means fewer updates an
        epoch. Another size asks for another learning rate (:func:`~fulmen.workflows.find_learning_rate`).
    """
    if highest < 1 or steps < 1:
        raise ConfigError(f"highest: {highest} and steps: {steps} must be at least 1")
    if not isinstance(getattr(data, "batch_size", None), int):
        raise ConfigError(f"data: {type(data).__name__} has no attribute `batch_size` that could be changed")
    data.prepare_data()
    data.setup("fit")
    trials: list[SizeTrial] = []
    ended: End = "highest"
    for size in (2**power for power in range(highest.bit_length())):
        if next_exceeds([trial.memory for trial in trials], free_memory()) and not torch.cuda.is_available():
            ended = "memory"
            break
        trial = _try(module, data, size, steps, trainer)
        if trial is None:
            ended = "samples"
            break
        trials.append(trial)
        if trial.note == _OUT_OF_MEMORY:
            ended = "memory"
            break
    return SizeSearch(trials, fast_enough(trials), ended)


def fast_enough(trials: Sequence[SizeTrial]) -> int:
    """The smallest size that reaches 95 % of the best throughput.

    Args:
        trials: At least one.

    Raises:
        ConfigError: If none could be trained with.

    >>> fast_enough([SizeTrial(1, 10.0), SizeTrial(2, 96.0), SizeTrial(4, 100.0), SizeTrial(8, None)])
    2
    """
    speeds = {trial.size: trial.samples_per_second for trial in trials if trial.samples_per_second is not None}
    if not speeds:
        raise ConfigError(f"batch_size: a size of {trials[-1].size} cannot be trained with: {trials[-1].note}")
    return min(size for size, speed in speeds.items() if speed >= _ENOUGH * max(speeds.values()))


def _try(
    module: LightningModule, data: LightningDataModule, size: int, steps: int, options: Mapping[str, Any] | None
) -> SizeTrial | None:
    """Trains at one size; ``None`` where there are not as many samples."""
    resized: Any = copy.copy(data)
    resized.batch_size, resized.trainer = size, None
    watch = _StopWatch(size, steps)
    try:
        run_trial(copy.deepcopy(module), resized, options, watch)
    except (RuntimeError, ValueError) as error:
        note = _reason(error, size)
        if note is None:
            raise
        return SizeTrial(size, None, None, note)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return None if watch.too_few else SizeTrial(size, watch.samples_per_second, watch.memory)


def _reason(error: Exception, size: int) -> str | None:
    if is_oom_error(error):
        return _OUT_OF_MEMORY
    return "one sample is too few for batch normalization" if size == 1 and _TOO_FEW in str(error) else None


class _StopWatch(Callback):
    """Times optimizer steps.

    Args:
        size: Samples a batch.
        steps: How many.

    Attributes:
        too_few: Whether not even the first batch was full.
        memory: Highest memory in bytes.
    """

    def __init__(self, size: int, steps: int) -> None:
        self.size, self.steps = size, steps
        self.too_few = False
        self.memory: int | None = None
        self._samples, self._processes = 0, 1
        self._begun: float | None = None
        self._seconds = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the training long enough, without schedules: what they watch may be missing."""
        train_for(trainer, _WARM_UP + self.steps)
        self._processes = trainer.world_size
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts samples, and reads the clock when the warm-up has ended and when all has."""
        count = extract_batch_size(batch.inputs if isinstance(batch, Batch) else batch)
        if trainer.current_epoch == 0 and batch_idx == 0 and count < self.size:
            self.too_few = trainer.should_stop = True
        if self._begun is not None:
            self._samples += count
        elif trainer.global_step >= _WARM_UP:
            self._begun = _now(pl_module.device)
        if trainer.global_step == _WARM_UP + self.steps and self._begun is not None:
            self._seconds = _now(pl_module.device) - self._begun
            on_gpu = pl_module.device.type == "cuda"
            self.memory = torch.cuda.max_memory_allocated(pl_module.device) if on_gpu else peak_memory()

    @property
    def samples_per_second(self) -> float:
        """Of all processes together."""
        return self._processes * self._samples / self._seconds


def _now(device: torch.device) -> float:
    """The time in seconds at which all work of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
