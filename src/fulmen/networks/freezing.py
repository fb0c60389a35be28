"""Which parameters of a backbone are frozen, in timm's own stages, and what rests with them.

A *stage* is a group of parameters that timm keeps together (``group_matcher(coarse=True)``: the blocks of one
resolution in a CNN, one block of a transformer); a *layer* is one of its fine groups (``coarse=False``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from torch import nn

from fulmen.core.errors import ConfigError, nearest
from fulmen.networks.backbone import classifier

BatchNormPolicy = Literal["follow", "frozen", "update"]
Freeze = Literal["all", "none"] | int | str | list[str] | dict[str, str]

_ALLOWED = "allowed: all, none, a number of first stages, 'until: NAME', or a list of patterns of parameter names"


class Stage(NamedTuple):
    """A group of parameters.

    Attributes:
        name: The module that its parameters share (``layer3``, ``blocks.4``), or ``stem``.
        parameters: Their names in the timm model.
    """

    name: str
    parameters: tuple[str, ...]


def stages(model: Any) -> list[Stage]:
    """The stages of a timm model, from its stem to its classifier.

    The classifier is a stage of its own, the last one. What else timm puts into the classifier's group is a stage
    before it where it holds weights (the hidden layers of VGG's head), and otherwise belongs to the stage of what
    stands before it: the last norm layer, as timm itself does it for ViT, or the parameter of an activation.

    Args:
        model: A timm model. The few that have no stage groups have their child modules as stages.
    """
    *groups, last = _groups(model, coarse=True)
    head = head_names(model)
    number = {name: i for i, group in enumerate(groups) for name in group}
    before, hidden = len(groups) - 1, list[str]()
    for name, parameter in model.named_parameters():
        if name in number:
            before = number[name]
        elif name in head:
            continue
        elif parameter.ndim > 1 or before == len(groups):
            hidden.append(name)
            before = len(groups)
        else:
            groups[before].append(name)
    groups += [hidden] if hidden else []
    return _named([*groups, [name for name in last if name in head]])


def layers(model: Any) -> list[Stage]:
    """The finest groups that timm knows, from the stem to the head: what layer-wise learning-rate decay counts."""
    return _named(_groups(model, coarse=False))


def head_names(model: Any) -> set[str]:
    """The names of the classifier's parameters."""
    own = {id(p) for p in classifier(model).parameters()}
    return {name for name, p in model.named_parameters() if id(p) in own}


def frozen_names(model: Any, freeze: Freeze) -> set[str]:
    """The names of the parameters that are frozen.

    Args:
        model: A timm model.
        freeze: ``all`` (everything but the classifier), ``none``, the number of first stages, ``"until: NAME"`` or
            ``{until: NAME}`` (what comes before the stage or module NAME), or a list of patterns of parameter names.

    Raises:
        ConfigError: If it is none of these, or names what the model does not have.

    >>> import timm
    >>> model = timm.create_model("resnet18")
    >>> [stage.name for stage in stages(model)]
    ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'fc']
    >>> sorted(frozen_names(model, "until: layer1"))
    ['bn1.bias', 'bn1.weight', 'conv1.weight']
    """
    if freeze == "none":
        return set()
    if freeze == "all":
        return {name for name, _ in model.named_parameters()} - head_names(model)
    if isinstance(freeze, int) and not isinstance(freeze, bool):
        return _first(model, freeze)
    if isinstance(freeze, list | tuple) and freeze and all(isinstance(pattern, str) for pattern in freeze):
        return _matching(model, freeze)
    name = _until(freeze)
    if name is None:
        found = stages(model)
        hint = ""
        if isinstance(freeze, str) and freeze in {stage.name for stage in found}:
            hint = f"; write 'until: {freeze}' to train {freeze} and what follows"
        raise ConfigError(f"freeze: {freeze!r} is not known{hint}; {_ALLOWED}")
    return _before(model, name)


def rest(model: nn.Module, batch_norm: BatchNormPolicy) -> None:
    """Puts what must not move into evaluation mode, in a model that is in training mode.

    Modules whose parameters are all frozen rest (so that frozen layers drop nothing either). The policy says
    whether the statistics of norm layers do as well: ``follow``, those of frozen ones; ``frozen``, all; ``update``,
    none.

    Args:
        model: In training mode; ``requires_grad`` says what is frozen.
        batch_norm: The policy.
    """
    for module in model.modules():
        flags = [p.requires_grad for p in module.parameters()]
        if flags and not any(flags):
            module.eval()
    if batch_norm != "follow":
        for norm in statistics(model):
            norm.training = batch_norm == "update"


def statistics(model: nn.Module) -> list[nn.Module]:
    """The norm layers that keep running statistics of their inputs, and change them in training mode."""
    return [module for module in model.modules() if getattr(module, "running_var", None) is not None]


def _groups(model: Any, coarse: bool) -> list[list[str]]:
    from timm.models import group_parameters

    try:
        groups: dict[int, list[str]] = group_parameters(model, model.group_matcher(coarse=coarse))
    except (AttributeError, AssertionError):  # CSATv2, MetaFormer and PiT have no groups, RDNet no coarse ones
        groups = group_parameters(model, _by_children(model))
    found = [groups[number] for number in sorted(groups)]
    head = head_names(model)
    if not head & set(found[-1]):
        raise ConfigError(f"backbone: timm's groups of {type(model).__name__} do not end with its classifier")
    return found


def _by_children(model: nn.Module) -> Any:
    """Parameter -> number of its child module; those of a sequence count one by one."""
    order: list[str] = []
    for name, child in model.named_children():
        parts = child.named_children() if isinstance(child, nn.Sequential | nn.ModuleList) else ()
        order += [f"{name}.{part}." for part, _ in parts] or [f"{name}."]
    return lambda parameter: next((i for i, start in enumerate(order) if parameter.startswith(start)), 0)


def places(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """The outermost modules that each group of parameters has for itself; a parameter alone has its own name.

    >>> places([["conv.weight", "token"], ["layers.0.weight"], ["layers.1.a.weight", "layers.1.b.weight"]])
    [['conv', 'token'], ['layers.0'], ['layers.1']]
    """
    owners: dict[str, set[int]] = {}
    for number, group in enumerate(groups):
        for name in group:
            for module in _modules(name):
                owners.setdefault(module, set()).add(number)
    return [
        list(dict.fromkeys(next((m for m in _modules(name) if len(owners[m]) == 1), name) for name in group))
        for group in groups
    ]


def _named(groups: Sequence[Sequence[str]]) -> list[Stage]:
    """Gives each group the name of the first module that is its own."""
    found = []
    for number, (group, own) in enumerate(zip(groups, places(groups), strict=True)):
        modules = [place for place in own if place not in group]
        name = "stem" if number == 0 and len(own) > 1 else (modules or own)[0]
        found.append(Stage(name, tuple(group)))
    return found


def _modules(parameter: str) -> list[str]:
    """The modules that a parameter is in, outermost first.

    >>> _modules("layer1.0.conv1.weight")
    ['layer1', 'layer1.0', 'layer1.0.conv1']
    """
    parts = parameter.split(".")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _union(groups: Iterable[Stage]) -> set[str]:
    return {name for group in groups for name in group.parameters}


def _first(model: Any, number: int) -> set[str]:
    found = stages(model)[:-1]
    if not 0 <= number <= len(found):
        names = ", ".join(stage.name for stage in found)
        raise ConfigError(f"freeze: this backbone has {len(found)} stages before its head, got {number}: {names}")
    return _union(found[:number])


def _until(freeze: object) -> str | None:
    """The name in ``"until: NAME"`` or ``{until: NAME}``; ``None`` if it is neither."""
    if isinstance(freeze, Mapping):
        return freeze["until"] if set(freeze) == {"until"} and isinstance(freeze["until"], str) else None
    key, colon, name = freeze.partition(":") if isinstance(freeze, str) else ("", "", "")
    return name.strip() if colon and key.strip() == "until" and name.strip() else None


def _before(model: Any, name: str) -> set[str]:
    """The parameters before a stage or module; a module inside a stage splits it where timm's finest groups do."""
    found = stages(model)
    names = [stage.name for stage in found]
    if name in names:
        return _union(found[: names.index(name)])
    fine = layers(model)
    inside = [i for i, layer in enumerate(fine) if any(name in _modules(p) for p in layer.parameters)]
    if not inside:
        close = nearest(name, {*names, *(module for module, _ in model.named_modules() if module)})
        hint = f" did you mean {close!r}?" if close else ""
        raise ConfigError(f"freeze: until: there is no stage or module {name!r};{hint} Stages: {', '.join(names)}")
    return _union(fine[: inside[0]]) - head_names(model)


def _matching(model: Any, patterns: Sequence[str]) -> set[str]:
    names = [name for name, _ in model.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            groups = [stage.name for stage in stages(model)]
            close = nearest(pattern, {*names, *(f"{module}.*" for name in names for module in _modules(name))})
            hint = f" did you mean {close!r}?" if close else f" They are like {names[0]!r}."
            raise ConfigError(
                f"freeze: {pattern!r} matches none of the parameters;{hint} Stages: {', '.join(groups)} "
                "(`until: STAGE` freezes those before one)"
            )
        found |= matched
    if head_names(model) <= found:
        raise ConfigError(f"freeze: {list(patterns)} freezes the head too, which is new and starts at random")
    return found
