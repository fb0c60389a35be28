"""What of a model is trained, from which epoch on and at which rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import nn

from fulmen.modules.base import SupervisedModule
from fulmen.modules.optimizers import LayerRates, make_optimizer
from fulmen.networks import Transfer
from fulmen.networks.freezing import places, stages, statistics
from fulmen.nn.modes import mode_kept


class Part(NamedTuple):
    """A stage of a backbone, or a child module of another network.

    Attributes:
        name: Of the stage or module.
        modules: The modules in it.
        parameters: How many numbers it has to learn, or not.
        trained: Epoch -> how many of them are trained from then on.
        rates: The learning rates they start with, lowest first; none if they are frozen, or not known.
        statistics: How many norm layers have running statistics.
        moving: Epoch -> how many of these follow the data from then on.
    """

    name: str
    modules: tuple[str, ...]
    parameters: int
    trained: dict[int, int]
    rates: tuple[float, ...]
    statistics: int
    moving: dict[int, int]


def training_plan(module: SupervisedModule) -> list[Part]:
    """What is trained of each part, seen by going through the epochs in which something changes.

    Args:
        module: The module; it is left as it was.

    Raises:
        ConfigError: If nothing is trained.

    >>> from fulmen.modules import MLPModule
    >>> [part[:4] for part in training_plan(MLPModule([8], input_shape=[4], num_outputs=3))]
    [('hidden', ('hidden',), 40, {0: 40}), ('head', ('head',), 27, {0: 27})]
    """
    rates = _rates(module)
    plan = module.layer_rates(1.0)
    epochs = {rate.epoch for rate in plan.values()}
    trained: dict[nn.Parameter, int] = {}
    moving: dict[nn.Module, int] = {}
    with _as_it_was(module):
        for epoch in sorted({0, *epochs}):
            _enter(module, plan, epoch)
            for p in module.parameters():
                if p.requires_grad:
                    trained.setdefault(p, epoch)
            for norm in statistics(module):
                if norm.training:
                    moving.setdefault(norm, epoch)
    return [
        Part(
            name,
            modules,
            sum(p.numel() for p in parameters),
            _sums((trained[p], p.numel()) for p in parameters if p in trained),
            tuple(sorted({rates[p] for p in parameters if p in trained and p in rates})),
            len(norms),
            _sums((moving[norm], 1) for norm in norms if norm in moving),
        )
        for name, modules, parameters, norms in _parts(module)
    ]


def _enter(module: SupervisedModule, plan: LayerRates, epoch: int) -> None:
    """Brings the network to where it is in an epoch."""
    network = module.network
    if plan and isinstance(network, Transfer):
        later = {n for n, p in network.model.named_parameters() if p not in plan or plan[p].epoch > epoch}
        network.set_frozen(later)
    network.train()


@contextmanager
def _as_it_was(module: nn.Module) -> Iterator[None]:
    flags = [(p, p.requires_grad) for p in module.parameters()]
    try:
        with mode_kept(module):
            yield
    finally:
        for p, flag in flags:
            p.requires_grad_(flag)


def _rates(module: SupervisedModule) -> dict[nn.Parameter, float]:
    """Those of the optimizer; none where a module makes its own."""
    if type(module).configure_optimizers is not SupervisedModule.configure_optimizers:
        return {}
    optimizer = make_optimizer(module, module.hparams["optimizer"], allow_fused=False, layer_rates=module.layer_rates)
    return {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def _sums(pairs: Iterator[tuple[int, int]]) -> dict[int, int]:
    counted: Counter[int] = Counter()
    for epoch, number in pairs:
        counted[epoch] += number
    return dict(sorted(counted.items()))


def _parts(module: SupervisedModule) -> Iterator[tuple[str, tuple[str, ...], list[nn.Parameter], list[nn.Module]]]:
    """Name, modules, parameters and norm layers of each part."""
    network = module.network.model if isinstance(module.network, Transfer) else module.network
    named = dict(network.named_parameters())
    if isinstance(module.network, Transfer):
        groups = [(stage.name, list(stage.parameters)) for stage in stages(network)]
    else:
        names = list(dict.fromkeys(name.partition(".")[0] for name in named))
        groups = [(part, [name for name in named if name.partition(".")[0] == part]) for part in names]
    norms = {id(norm) for norm in statistics(network)}
    there = [(name, child) for name, child in network.named_modules() if id(child) in norms]
    for (name, parameters), own in zip(groups, places([group for _, group in groups]), strict=True):
        inside = [norm for path, norm in there if any(f"{path}.".startswith(f"{place}.") for place in own)]
        yield name, tuple(own), [named[parameter] for parameter in parameters], inside
    rest = {id(p) for p in named.values()}
    others = [p for p in module.parameters() if id(p) not in rest]
    if others:
        yield "others", ("loss and regularizers",), others, []
