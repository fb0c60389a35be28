"""Files with the weights of a backbone: read safely, and what did not fit is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fulmen.core.errors import ConfigError

_PREFIX = "network.model."
"""What stands before a backbone's names in a checkpoint of a :class:`fulmen.modules.TransferModule`."""
_SAME_MODEL = ("backbone", "backbone_options", "activation")
"""Arguments that a checkpoint's model must have in common with the one that starts from it."""
_RENAMED = 0.5
"""Share of the model's names that a file has, below which it is written in other names, which timm translates."""
_ODD = 0.25
"""Share of weights that may differ where names say nothing: what timm computes from the file's weights."""
_SHOWN = 5


class Saved(NamedTuple):
    """The contents of a file.

    Attributes:
        tensors: Name -> weight or buffer.
        channels: Of the first layer's input, where the file says it.
    """

    tensors: dict[str, Tensor]
    channels: int | None = None


def read_weights(file: str | Path, arguments: Mapping[str, Any]) -> Saved:
    """The tensors of a file, with torch's safe loading: nothing in it can run.

    Args:
        file: ``.pth``, ``.pt``, ``.bin`` or ``.safetensors`` with a state dict, as torch and timm write it, or a
            checkpoint of a :class:`fulmen.modules.TransferModule`.
        arguments: Those of the model that is to have the weights, by name; compared with a Fulmen checkpoint's.

    Raises:
        ConfigError: If there is no such file, it cannot be read safely, or it is of another model.
    """
    from timm.models import clean_state_dict, load_state_dict

    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"weights: there is no file {str(file)!r} (from {Path.cwd()})")
    try:
        if path.suffix == ".safetensors":
            return Saved(_tensors(load_state_dict(str(path)), path))
        contents = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(contents, dict) and "fulmen" in contents:
            return _of_checkpoint(contents, arguments, path)
        key = next((k for k in ("state_dict_ema", "model_ema", "state_dict", "model") if contents.get(k)), None)
        return Saved(_tensors(clean_state_dict(contents[key] if key else contents), path))
    except ConfigError:
        raise
    except Exception as error:  # torch and safetensors raise whatever a broken file leads them to
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "torch's safe loading refuses it" if isinstance(error, UnpicklingError) else first
        raise ConfigError(
            f"weights: {str(file)!r} cannot be read ({reason}); a state dict is needed, as "
            "torch.save(model.state_dict(), 'weights.pth') writes it: whole models and other "
            "pickles may run code, and are not opened"
        ) from error


def _tensors(saved: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    found = {name: value for name, value in saved.items() if isinstance(value, Tensor)}
    if not found:
        raise ConfigError(f"weights: {str(path)!r} holds no tensors")
    return found


def _of_checkpoint(checkpoint: Mapping[str, Any], arguments: Mapping[str, Any], path: Path) -> Saved:
    """The backbone of a Fulmen checkpoint, whatever its task was."""
    then = checkpoint.get("hyper_parameters", {})
    kind = str(checkpoint["fulmen"].get("class_path", "")).rpartition(".")[2]
    tensors = {n.removeprefix(_PREFIX): t for n, t in checkpoint["state_dict"].items() if n.startswith(_PREFIX)}
    if "backbone" not in then or not tensors:
        raise ConfigError(f"weights: {str(path)!r} is a checkpoint of {kind}, which has no timm backbone")
    for name in _SAME_MODEL:
        saved, ours = then.get(name), arguments.get(name)
        if (saved or None) != (ours or None):
            shown = "null" if saved is None else saved
            raise ConfigError(
                f"weights: {str(path)!r} was trained with {name}: {shown}, and this model has {name}: "
                f"{'null' if ours is None else ours}; give {name}: {shown}"
            )
    shape = then.get("input_shape")
    return Saved(tensors, shape[0] if shape else None)


class Fit(NamedTuple):
    """How the tensors of a file went into a model, by name, without its classifier.

    Attributes:
        missing: The model's that came from nowhere.
        unused: The file's that went nowhere.
    """

    missing: list[str]
    unused: list[str]


def compare(model: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> Fit:
    """Looks for what is in one and not in the other, by name or, as timm renames what comes from elsewhere, by value.

    Args:
        model: A model's state dict after it was loaded.
        saved: The file's.
    """
    ours, theirs = _prints(model), _prints(saved)
    return Fit(
        [n for n, t in model.items() if n not in saved and t.is_floating_point() and _print(t) not in theirs],
        [n for n, t in saved.items() if n not in model and t.is_floating_point() and _print(t) not in ours],
    )


def check_loaded(model: Any, saved: Mapping[str, Tensor], new: Collection[str], file: str, backbone: str) -> None:
    """Checks that the file's weights are in the model: with another head, timm loads what fits and skips the rest.

    Args:
        model: A timm model after loading.
        saved: The file's tensors.
        new: Names of the model's weights that may be its own: the classifier's, and layers of another input.
        file: The file's name.
        backbone: The model's name.

    Raises:
        ConfigError: If weights of either are not in the other; it names them.
    """
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in new}
    heads = {name.rpartition(".")[0] for name in new}
    file_heads = [name for name in saved if name.rpartition(".")[0] in heads]
    rest = {name: tensor for name, tensor in saved.items() if name not in file_heads}
    found = compare(state, rest)
    if len(state.keys() & rest.keys()) >= _RENAMED * len(state):
        good = not found.missing and not found.unused
    else:
        ours, theirs = _prints(state), _prints(rest)
        good = len(ours & theirs) >= (1 - _ODD) * max(len(ours), len(theirs), 1)
    if not good:
        raise ConfigError(
            f"weights: {file!r} does not fit {backbone!r}: {_share(found.missing, state, 'of the model')}"
            f"{_share(found.unused, rest, 'of the file')}Is it of another backbone, of other `backbone_options`, or do "
            f"its names have a prefix? The file's are like {next(iter(saved))!r}, timm's like "
            f"{next(iter(model.state_dict()))!r}"
        )


def _share(names: list[str], of: Mapping[str, Tensor], whose: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    where = "not in the file" if whose == "of the model" else "not in the model"
    return f"{len(names)} of the {len(of)} weights {whose} are {where} ({shown}). "


def _print(tensor: Tensor) -> tuple[int, str] | None:
    """What tells a tensor from others; ``None`` for one number everywhere, as new norm layers have."""
    values = tensor.detach().double()
    if not values.numel() or bool((values == values.flatten()[0]).all()):
        return None
    return values.numel(), f"{values.abs().sum().item():.5e} {values.sum().item():.3e}"


def _prints(tensors: Mapping[str, Tensor]) -> set[tuple[int, str]]:
    found = (_print(tensor) for tensor in tensors.values() if tensor.is_floating_point())
    return {one for one in found if one is not None}
