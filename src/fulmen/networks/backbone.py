"""Backbones of timm: made with the weights that are asked for, or not at all."""

from __future__ import annotations

import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fulmen.core.errors import ConfigError, nearest
from fulmen.networks.weights import Saved, check_loaded, read_weights

_PATIENCE = 4.0
"""Seconds to wait for the host of the weights."""
_SHOWN = 5


def create_backbone(
    backbone: str,
    input_shape: Sequence[int],
    num_outputs: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    change: Callable[[Any], None] = lambda model: None,
    **options: Any,
) -> Any:
    """A timm model for these images and outputs; its classifier is not that of the weights.

    Args:
        backbone: Name of a timm model.
        input_shape: ``(C, H, W)``. timm adapts the first layer to ``C``; a model of one size is made for ``H`` and
            ``W`` (its positions are interpolated).
        num_outputs: Width of the output.
        pretrained: Fetch the weights from the hub.
        weights: A local file instead.
        arguments: Those of the whole network, by name, which a Fulmen checkpoint is compared with.
        change: Changes the model that timm made. Layers that it puts in and that have weights of their own take them
            from a file that knows these names, such as the checkpoint of a model that was changed in the same way.
        **options: Further options of the timm model.

    Raises:
        ConfigError: If the model, its weights or an option cannot be used.
    """
    cfg = _config(backbone)
    shape = tuple(input_shape[1:])
    if cfg is not None and cfg.fixed_input_size and shape != tuple(cfg.input_size[1:]):
        options.setdefault("img_size", shape)
    options = {"num_classes": num_outputs, "in_chans": input_shape[0], **options}
    if weights is not None:
        saved = read_weights(weights, arguments or {})
        with _silent(logging.getLogger("timm.models._builder")):  # check_loaded says more
            model = _create(backbone, weights=str(weights), **_overlay(cfg, saved, shape), **options)
        model.pretrained_cfg.pop("state_dict")  # timm keeps what it was told, here all weights a second time
        started = _change(model, change, saved.tensors)
        new = classifier_names(model)
        check_loaded(model, saved.tensors, {*new, *started}, str(weights), backbone)
        rank_zero_info(f"weights: {weights} is in {backbone}; new: {', '.join(new)}")
        return model
    if pretrained:
        with _reachable(backbone, cfg):
            model = _create(backbone, pretrained=True, **options)
    else:
        model = _create(backbone, **options)
    _change(model, change, {})
    return model


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was


def _change(model: Any, change: Callable[[Any], None], saved: Mapping[str, Tensor]) -> list[str]:
    """Changes a model; returns the names of the weights that came with the change, and that the file does not have."""
    before = set(model.state_dict())
    change(model)
    came = [name for name in model.state_dict() if name not in before]
    model.load_state_dict({name: saved[name] for name in came if name in saved}, strict=False)
    return [name for name in came if name not in saved]


def data_defaults(backbone: str) -> dict[str, Any]:
    """How images were prepared when a backbone was trained, as arguments of an image datamodule.

    Args:
        backbone: Name of a timm model.

    Returns:
        ``image_size`` (pixels), ``mean`` and ``std`` (of values in [0, 1]), ``interpolation``, and ``crop`` (share of
        the shorter side that is seen); empty for a model that timm says nothing of.

    Raises:
        ConfigError: If timm has no such model.

    >>> data_defaults("inception_v3")["image_size"]
    299
    """
    cfg = _config(backbone)
    if cfg is None:
        return {}
    how = "bilinear" if cfg.interpolation == "bilinear" else "bicubic"
    crop = cfg.crop_pct if cfg.crop_mode == "center" else 1.0
    return {
        "image_size": cfg.input_size[-1],
        "mean": list(cfg.mean),
        "std": list(cfg.std),
        "interpolation": how,
        "crop": crop,
    }


def classifier(model: Any) -> nn.Module:
    """The layers of a timm model that give the outputs; some models have two heads."""
    head: Any = model.get_classifier()
    return nn.ModuleList(head) if isinstance(head, tuple | list) else head


def classifier_names(model: Any) -> list[str]:
    """The names of a timm model's parameters and buffers that belong to its classifier."""
    own = {id(t) for t in classifier(model).state_dict(keep_vars=True).values()}
    return [name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in own]


def _config(backbone: str) -> Any:
    """What timm knows of a model's pretraining."""
    import timm

    if not timm.is_model(backbone.partition(".")[0]):
        close = nearest(backbone, timm.list_models())
        hint = f"did you mean {close!r}? " if close else ""
        raise ConfigError(
            f"backbone: timm has no model {backbone!r}; {hint}All of them: "
            'python -c "import timm; print(*timm.list_models(), sep=chr(10))"'
        )
    try:
        return timm.get_pretrained_cfg(backbone)
    except RuntimeError as error:  # no such tag
        tags = ", ".join(timm.list_pretrained(backbone.partition(".")[0] + ".*"))
        raise ConfigError(f"backbone: {error}. Pretrained: {tags or 'none of this model'}") from error


def _overlay(cfg: Any, saved: Saved, shape: tuple[int, ...]) -> dict[str, Any]:
    """What timm is told of a file."""
    overlay: dict[str, Any] = {"state_dict": dict(saved.tensors), "num_classes": -1}  # its head always goes
    if saved.channels is not None:
        overlay["input_size"] = (saved.channels, *(shape if cfg is None else cfg.input_size[1:]))
    return {"pretrained": True, "pretrained_cfg_overlay": overlay}


def _create(backbone: str, weights: str | None = None, **options: Any) -> Any:
    import timm

    try:
        return timm.create_model(backbone, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError, KeyError, AttributeError) as error:
        lines = str(error).splitlines()
        reason = "\n".join(
            [*lines[: _SHOWN + 1], *([f"and {len(lines) - _SHOWN - 1} more"] if lines[_SHOWN + 1 :] else [])]
        )
        if weights is not None and ("state_dict" in reason or "size mismatch" in reason):
            raise ConfigError(f"weights: {weights!r} does not fit {backbone!r}: {reason}") from error
        given = ", ".join(f"{k}={v!r}" for k, v in options.items() if k not in ("pretrained_cfg_overlay", "pretrained"))
        raise ConfigError(f"backbone: timm's {backbone!r} refuses ({given}): {reason}") from error
    except OSError as error:  # huggingface_hub's and requests' errors derive from it
        raise ConfigError(_not_fetched(backbone, f"{type(error).__name__}: {error}")) from error


# Weights of the hub


@contextmanager
def _reachable(backbone: str, cfg: Any) -> Iterator[None]:
    """Checks that weights can be had before timm asks for them, and waits for minutes where nobody answers.

    Raises:
        ConfigError: If there are none, or they are neither on this machine nor can be fetched.
    """
    from huggingface_hub import constants

    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise ConfigError(
            f"pretrained: timm has no weights of {backbone!r}; give `weights: file`, or another backbone: "
            'python -c "import timm; print(*timm.list_pretrained(), sep=chr(10))"'
        )
    if not cfg.hf_hub_id:
        if not (_torch_folder() / Path(cfg.url).name).is_file():
            _ask(backbone, cfg.url, cfg.url, _torch_folder())
        yield
        return
    here = _in_cache(cfg)
    was_offline = constants.HF_HUB_OFFLINE
    if not here:
        if was_offline:
            raise ConfigError(_not_fetched(backbone, f"{_sought(cfg)}: HF_HUB_OFFLINE is set"))
        _ask(backbone, constants.ENDPOINT, _sought(cfg), Path(constants.HF_HUB_CACHE))
    constants.HF_HUB_OFFLINE = was_offline or bool(here)  # what is here needs no question to the hub
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _sought(cfg: Any) -> str:
    return f"{cfg.hf_hub_filename or 'model.safetensors'} of {cfg.hf_hub_id}"


def _in_cache(cfg: Any) -> str | None:
    """The file of a model's weights where the hub's cache has it."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = cfg.hf_hub_id.partition("@")
    names = [cfg.hf_hub_filename] if cfg.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    found = [try_to_load_from_cache(repository, name, revision=revision or None) for name in names]
    return next((file for file in found if isinstance(file, str)), None)


def _torch_folder() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _ask(backbone: str, url: str, sought: str, folder: Path) -> None:
    """Asks a host for anything at all; any answer will do.

    Raises:
        ConfigError: If there is none within seconds.
    """
    reasons = [f"no answer within {_PATIENCE:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE).close()
            reasons.clear()
        except urllib.error.HTTPError:
            reasons.clear()
        except OSError as error:
            reasons[:] = [str(getattr(error, "reason", error))]

    asking = threading.Thread(target=ask, daemon=True)  # looking a name up knows no time limit
    asking.start()
    asking.join(_PATIENCE)
    if reasons:
        raise ConfigError(_not_fetched(backbone, f"{sought}, which is not in {folder}; {url}: {reasons[0]}"))


def _not_fetched(backbone: str, why: str) -> str:
    return (
        f"pretrained: the weights of {backbone!r} could not be fetched ({why})\n"
        "Offline? Fetch them on a machine that is online "
        f'(python -c "import timm, torch; torch.save(timm.create_model({backbone!r}, pretrained=True)'
        ".state_dict(), 'weights.pth')\"), copy the file here, and give `weights: weights.pth` "
        "(--model.weights weights.pth). `pretrained: false` with `freeze: none` starts from random weights."
    )
