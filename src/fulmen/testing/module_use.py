"""Checks of how a module is saved, copied and made."""

from __future__ import annotations

import copy
import pickle as pickles
from typing import Any

import torch

from fulmen.core.errors import FulmenError
from fulmen.testing.kit import CheckError, leaves_state_alone, require
from fulmen.testing.module_subject import Module
from fulmen.testing.training import fit, reloaded


def _primitive(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _primitive(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_primitive, value))
    return value is None or type(value) in (bool, int, float, str)


def hyperparameters_primitive(subject: Module) -> None:
    """Its hyperparameters are names, numbers, lists and mappings, all that were given: a checkpoint can hold them."""
    module = subject.built()
    odd = [name for name, value in module.hparams.items() if not _primitive(value)]
    require(
        not odd, f"hyperparameters {', '.join(odd)} are objects; take a name or numbers, and make the object inside"
    )
    lost = [name for name in subject.options if name not in module.hparams]
    require(not lost, f"options {', '.join(lost)} are not in hparams; call super().__init__(**kwargs) first")


def checkpoint(subject: Module) -> None:
    """It comes back from a checkpoint, through torch's safe loading, with the same outputs."""
    module = subject.built()
    made = fit(module, subject.data(), max_steps=2, max_epochs=-1)
    try:
        twin = reloaded(module, made)
    except (FulmenError, pickles.UnpicklingError, RuntimeError, TypeError) as error:
        raise CheckError(f"load_from_checkpoint fails: {error}") from error
    x = subject.sample()
    same = torch.equal(twin.eval()(x), module.eval()(x))
    require(same, "from its checkpoint it gives other outputs; keep what it learns in parameters and buffers")


def no_global_state(subject: Module) -> None:
    """Making and calling it changes no setting, and no random state but torch's, from which weights start."""
    leaves_state_alone(lambda: subject.built().eval(), subject.sample)


def deepcopy(subject: Module) -> None:
    """A deep copy gives the same outputs and shares no parameter."""
    module, x = subject.built().eval(), subject.sample()
    twin = copy.deepcopy(module)
    require(torch.equal(twin(x), module(x)), "a deep copy gives other outputs")
    places = {p.data_ptr() for p in module.parameters()}
    shared = [name for name, p in twin.named_parameters() if p.data_ptr() in places]
    require(not shared, f"a deep copy shares {', '.join(shared)} with the original")


def pickle(subject: Module) -> None:
    """It can be pickled, as processes that are spawned need it."""
    module, x = subject.built().eval(), subject.sample()
    try:
        twin = pickles.loads(pickles.dumps(module))
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda, and define it in a module") from error
    require(torch.equal(twin(x), module(x)), "unpickled, it gives other outputs")
