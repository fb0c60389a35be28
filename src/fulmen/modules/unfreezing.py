"""Which stages of a backbone are trained from which epoch on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch.nn.parallel import DistributedDataParallel

from fulmen.core.errors import ConfigError, unknown
from fulmen.networks.freezing import Stage, stages

_STEP = {"epoch", "stages", "lr"}
_EVERY = {"epoch", "every", "lr_factor"}


class Step(NamedTuple):
    """What happens when an epoch begins.

    Attributes:
        epoch: The epoch, from 0.
        stages: How many of the last stages before the head are trained from then on.
        lr: Learning rate of those that were frozen until then; ``None`` for the optimizer's.
        factor: What the optimizer's rate is multiplied by.
    """

    epoch: int
    stages: int
    lr: float | None = None
    factor: float = 1.0


class Thaw(NamedTuple):
    """A step, and the names of the parameters that it thaws."""

    step: Step
    names: frozenset[str]


def read_steps(unfreeze: object, available: int, training: int = 0) -> list[Step]:
    """The steps that a config asks for.

    Args:
        unfreeze: A list of ``{epoch, stages, lr}``, or ``{epoch, every, lr_factor}``; ``None`` for none.
        available: Number of stages before the head.
        training: How many of the last of them are trained from the start.

    Raises:
        ConfigError: If it is neither, or a value is out of range.

    >>> read_steps({"epoch": 3, "every": 2, "lr_factor": 0.5}, available=2)
    [Step(epoch=3, stages=1, lr=None, factor=0.5), Step(epoch=5, stages=2, lr=None, factor=0.25)]
    """
    if unfreeze is None:
        return []
    if isinstance(unfreeze, Mapping):
        return _every(unfreeze, available, training)
    if not isinstance(unfreeze, list | tuple) or not unfreeze:
        raise ConfigError(
            f"unfreeze: {unfreeze!r} is neither a list of steps, such as [{{epoch: 3, stages: 1, lr: 1.0e-4}}], nor a "
            "pace, such as {epoch: 3, every: 2, lr_factor: 0.5}"
        )
    steps: list[Step] = []
    for i, given in enumerate(unfreeze):
        place = f"unfreeze[{i}]"
        _check_keys(place, given, _STEP, {"epoch", "stages"})
        number = available if given["stages"] == "all" else given["stages"]
        if not _is_int(number) or not 1 <= number <= available:
            raise ConfigError(
                f"{place}.stages: {number!r} is out of range; allowed: 1 to {available}, the stages before the head, "
                "or all"
            )
        rate = given.get("lr")
        step = Step(_epoch(place, given["epoch"]), number, None if rate is None else _positive(f"{place}.lr", rate))
        if steps and step.epoch <= steps[-1].epoch:
            raise ConfigError(f"{place}.epoch: {step.epoch} does not follow {steps[-1].epoch}, the epoch before it")
        before = steps[-1].stages if steps else training
        if step.stages <= before:
            raise ConfigError(f"{place}.stages: the last {step.stages} are trained before epoch {step.epoch} already")
        steps.append(step)
    return steps


def _every(given: Mapping[str, Any], available: int, training: int) -> list[Step]:
    _check_keys("unfreeze", given, _EVERY, {"epoch"})
    epoch, every = _epoch("unfreeze", given["epoch"]), given.get("every", 1)
    if not _is_int(every) or every < 1:
        raise ConfigError(f"unfreeze.every: {every!r} is out of range; allowed: a number of epochs >= 1")
    factor = _positive("unfreeze.lr_factor", given.get("lr_factor", 1.0))
    return [
        Step(epoch + i * every, training + i + 1, factor=factor ** (i + 1)) for i in range(max(0, available - training))
    ]


def _check_keys(place: str, given: object, allowed: set[str], needed: set[str]) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place}: {given!r} is no mapping; allowed keys: {', '.join(sorted(allowed))}")
    for key in given:
        if key not in allowed:
            raise ConfigError(f"{place}: {unknown('key', str(key), allowed)}")
    for key in sorted(needed):
        if key not in given:
            raise ConfigError(f"{place}.{key}: is missing; write {{{', '.join(f'{k}: ...' for k in sorted(needed))}}}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _epoch(place: str, value: Any) -> int:
    if not _is_int(value) or value < 1:
        raise ConfigError(
            f"{place}.epoch: {value!r} is out of range; allowed: whole numbers >= 1 (what is trained from epoch 0 on "
            "is what `freeze` leaves)"
        )
    return int(value)


def _positive(place: str, value: Any) -> float:
    try:
        number = float(value)  # YAML reads 1e-4 as a text
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ConfigError(f"{place}: {value!r} is out of range; allowed: numbers > 0, such as 1.0e-4")
    return number


class Unfreezing:
    """Gradual unfreezing: the head first, then stage by stage (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).

    What is frozen is a function of the epoch alone, so that a resumed run is right by construction (Lightning's
    ``BaseFinetuning`` freezes again what it had thawed,
    https://github.com/Lightning-AI/pytorch-lightning/issues/21901).

    Args:
        network: A :class:`fulmen.networks.Transfer`, with what is frozen at the start.
        unfreeze: See :func:`read_steps`.

    Raises:
        ConfigError: If nothing is frozen, or a step is wrong.
    """

    def __init__(self, network: Any, unfreeze: object) -> None:
        self.start = _frozen(network)
        self.stages: list[Stage] = stages(network.model) if unfreeze is not None else []
        self.thaws: list[Thaw] = []
        if unfreeze is None:
            return
        if not self.start:
            raise ConfigError("unfreeze: nothing is frozen; give `freeze: all` or a number of stages, or leave it out")
        before = self.stages[-2::-1]  # from the head to the stem
        training = next((i for i, stage in enumerate(before) if self.start & set(stage.parameters)), len(before))
        thawed: frozenset[str] = frozenset()
        for step in read_steps(unfreeze, len(before), training):
            names = {name for stage in before[: step.stages] for name in stage.parameters}
            new = (self.start & names) - thawed
            if not new and not isinstance(unfreeze, Mapping):
                raise ConfigError(f"unfreeze: nothing is frozen in the last {step.stages} stages in epoch {step.epoch}")
            self.thaws.append(Thaw(step, new))
            thawed |= new

    def steps(self) -> dict[str, Step]:
        """Names of the parameters that thaw -> the step that thaws them."""
        return {name: thaw.step for thaw in self.thaws for name in thaw.names}

    def frozen_at(self, epoch: int) -> frozenset[str]:
        """The names of the parameters that are frozen in an epoch."""
        return self.start.difference(*(thaw.names for thaw in self.thaws if thaw.step.epoch <= epoch))

    def apply(self, network: Any, epoch: int, trainer: Trainer) -> None:
        """Freezes and thaws as an epoch wants it.

        Args:
            network: A :class:`fulmen.networks.Transfer`.
            epoch: The epoch that begins, or goes on.
            trainer: About to train it.
        """
        frozen = self.frozen_at(epoch)
        if frozen == _frozen(network):
            return
        network.set_frozen(frozen)
        _wrap_again(trainer.strategy)
        names = [stage.name for stage in self.stages if not frozen & set(stage.parameters)]
        rank_zero_info(f"epoch {epoch}: trained from now on: {', '.join(names)}")

    def check(self, network: Any, trainer: Trainer) -> None:
        """Checks that a trainer can follow the schedule.

        Args:
            network: A :class:`fulmen.networks.Transfer`.
            trainer: About to train it, its optimizers made.

        Raises:
            ConfigError: If its strategy shards parameters, or its optimizers, which may be a user's own, lack
                parameters that thaw.
        """
        if not self.thaws:
            return
        strategy = trainer.strategy
        if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy):
            raise ConfigError(
                f"unfreeze: works on one device and with trainer.strategy: ddp, not with {type(strategy).__name__}, "
                "which fixes what is trained when it shards the parameters"
            )
        there = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
        thawed = {name for thaw in self.thaws for name in thaw.names}
        missing = [name for name, p in network.model.named_parameters() if name in thawed and id(p) not in there]
        if missing:
            raise ConfigError(
                f"unfreeze: the optimizer lacks {len(missing)} parameters that are to be trained later, such as "
                f"{missing[0]!r}; a configure_optimizers of one's own has to give it those of self.layer_rates(lr)"
            )
        epochs = trainer.max_epochs
        late = [thaw.step.epoch for thaw in self.thaws if epochs is not None and 0 <= epochs <= thaw.step.epoch]
        if late:
            rank_zero_info(f"unfreeze: epoch {late[0]} is never reached (trainer.max_epochs is {epochs})")


def _frozen(network: Any) -> frozenset[str]:
    return frozenset(name for name, p in network.model.named_parameters() if not p.requires_grad)


def _wrap_again(strategy: Any) -> None:
    """Tells DDP what is trained now.

    ``DistributedDataParallel`` averages the gradients of those parameters that require them when it is made, and
    waits for all of these in each step.
    """
    if not isinstance(strategy.model, DistributedDataParallel):
        return
    wrapped: Any = strategy.model
    strategy.model = strategy.lightning_module
    wrapped.reducer = wrapped.logger = None  # the reducer takes its hooks with it, and the logger would keep it
    strategy.configure_ddp()
