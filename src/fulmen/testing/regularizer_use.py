"""Checks of how a regularizer is saved, copied and removed."""

from __future__ import annotations

import copy
import io
import pickle as pickles
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from fulmen.modules import MLPModule
from fulmen.nn import Regularizer
from fulmen.testing.kit import CheckError, require
from fulmen.testing.regularizer_subject import RegularizerSubject, whole
from fulmen.testing.training import facts, fit, points, reloaded


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def state_dict(subject: RegularizerSubject) -> None:
    """What it needs to go on passes through torch's safe loading, and a new one takes it over."""
    made = subject.make()
    subject.trained(made, epochs=1)
    state = made.state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        saved = torch.load(buffer, weights_only=True)
    except pickles.UnpicklingError as error:
        raise CheckError(f"state_dict() is refused by safe loading: {error}; give tensors, numbers, lists") from error
    twin = subject.make()
    twin.load_state_dict(saved)
    require(_same(twin.state_dict(), state), "load_state_dict() does not take over what state_dict() gave")


def checkpoint(subject: RegularizerSubject) -> None:
    """A model whose config names it comes back from its checkpoint, with it and with the same outputs."""
    module = MLPModule([8], subject.activation, regularizers=[subject.spec], **facts(points()))
    made = fit(module, whole())
    twin = reloaded(module, made)
    assert isinstance(twin, MLPModule)
    kinds = [type(r) for r in twin.regularizers]
    require(kinds == [type(subject.make())], f"a checkpoint gives back the regularizers {kinds}")
    x = torch.randn(4, 6)
    require(torch.equal(twin.eval()(x), module.eval()(x)), "a model from its checkpoint gives another output")


def _hooks(module: nn.Module) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, owner in [*module.named_modules(), *module.named_parameters()]:
        for kind, hooks in vars(owner).items() if isinstance(owner, nn.Module) else [("", owner._backward_hooks)]:
            if ("hooks" in kind and isinstance(hooks, dict)) or not kind:
                found[name] += len(hooks or ())
        found[f"{name}:{type(owner).__name__}"] += 1
    return +found


def hooks_removed(subject: RegularizerSubject) -> None:
    """When training has ended, layers have the hooks, parametrizations and classes that they had before."""
    module = subject.module(subject.make())
    before = _hooks(module.network)
    fit(module, whole())
    after = _hooks(module.network)
    odd = sorted(set((after - before) + (before - after)))
    require(not odd, f"after the training {', '.join(odd)} is changed; return every handle from attach()")


def _like_new(subject: RegularizerSubject, twin: Regularizer, what: str) -> None:
    require(type(twin) is type(subject.make()), f"{what} is a {type(twin).__name__}")
    same = torch.equal(subject.learned(twin), subject.reference)
    require(same, f"training with {what} gives other weights than with the original; keep its state in the object")


def deepcopy(subject: RegularizerSubject) -> None:
    """A deep copy does the same."""
    _like_new(subject, copy.deepcopy(subject.make()), "a deep copy")


def pickle(subject: RegularizerSubject) -> None:
    """It can be pickled, as processes that are spawned need it, and then does the same."""
    try:
        data = pickles.dumps(subject.make())
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda, and define it in a module") from error
    _like_new(subject, pickles.loads(data), "what comes back from pickle")
