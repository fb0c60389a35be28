"""A pretrained timm backbone with a new head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError, nearest
from fulmen.core.restoring import is_restoring


class Transfer(nn.Module):
    """A timm model whose classifier is new, and whose other layers may be frozen.

    Frozen layers get no gradient and stay in evaluation mode, so that neither their weights nor the
    statistics of their batch normalization move.

    Args:
        input_shape: ``(C, H, W)``; any number of channels (timm adapts the first layer).
        num_outputs: Width of the output.
        backbone: Name of a timm model, such as ``resnet18``, ``vgg16_bn``, ``inception_v3``, ``mobilenetv2_100``.
        pretrained: Fetch the backbone's weights from the hub.
        weights: A local file with the backbone's weights (``.pth`` or ``.safetensors``) instead.
        freeze: ``all`` (only the head is trained), ``none``, or the number of first stages, in timm's own
            grouping, that are frozen.
        drop_rate: Dropout before the head, in [0, 1).
        drop_path_rate: Stochastic depth, in [0, 1) (Huang et al. 2016); not every backbone has it.
        backbone_options: Further options of the timm model, such as ``{pad_type: same}``.

    Raises:
        ConfigError: If the backbone, its weights or an option cannot be used.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        backbone: str = "resnet18",
        pretrained: bool = False,
        weights: str | Path | None = None,
        freeze: Literal["all", "none"] | int = "all",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        backbone_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ConfigError(f"input_shape: a backbone takes images (C, H, W); the data give {tuple(input_shape)}")
        if freeze == "all" and not (pretrained or weights):
            raise ConfigError(
                "freeze: 'all' would train a head on random features; give `pretrained: true` or `weights: file`, "
                "or train everything with `freeze: none`"
            )
        options = {"drop_rate": drop_rate, **(backbone_options or {})}
        if drop_path_rate:
            options["drop_path_rate"] = drop_path_rate
        saved = None if weights is None or is_restoring() else _read_weights(weights)
        source: dict[str, Any] = {"pretrained": pretrained and not is_restoring()}
        if saved is not None:
            source = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(saved)}}
        self.model = _create(backbone, num_classes=num_outputs, in_chans=input_shape[0], **source, **options)
        if saved is not None:
            _check_loaded(self.model, saved, str(weights), backbone)
        self._reset_head()
        self._freeze(freeze)

    def _reset_head(self) -> None:
        """Starts the head as torch starts a linear layer.

        Some timm families draw a head's weights by its number of outputs (MobileNet's from [-1, 1] for one
        output), which a short training of the head alone cannot undo.
        """
        for layer in self._classifier().modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.reset_parameters()

    def _freeze(self, freeze: Literal["all", "none"] | int) -> None:
        if freeze == "none" or freeze == 0:
            return
        if freeze == "all":
            head = {id(p) for p in self._classifier().parameters()}
            frozen = [p for p in self.model.parameters() if id(p) not in head]
        else:
            frozen = self._stages(freeze)
        for parameter in frozen:
            parameter.requires_grad_(False)
        self.train()

    def _classifier(self) -> nn.Module:
        head: Any = self.model.get_classifier()
        return nn.ModuleList(head) if isinstance(head, tuple | list) else head

    def _stages(self, number: int) -> list[nn.Parameter]:
        from timm.models import group_parameters

        groups: dict[int, list[str]] = group_parameters(self.model, self.model.group_matcher(coarse=True))
        stages = sorted(g for g in groups if g < max(groups))  # the last group is the head
        if not 0 < number <= len(stages):
            raise ConfigError(f"freeze: this backbone has {len(stages)} stages before its head, got {number}")
        named = dict(self.model.named_parameters())
        return [named[name] for stage in stages[:number] for name in groups[stage]]

    def train(self, mode: bool = True) -> Transfer:
        """Sets the mode; modules whose parameters are all frozen stay in evaluation mode."""
        super().train(mode)
        if mode:
            for module in self.modules():
                flags = [p.requires_grad for p in module.parameters()]
                if flags and not any(flags):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, num_outputs)``."""
        return self.model(x)  # type: ignore[no-any-return]


def _read_weights(weights: str | Path) -> dict[str, Tensor]:
    """The tensors of a file, with torch's safe loading."""
    from timm.models import load_state_dict

    if not Path(weights).is_file():
        raise ConfigError(f"weights: there is no file {str(weights)!r} (from {Path.cwd()})")
    try:
        saved: dict[str, Tensor] = load_state_dict(str(weights), weights_only=True)
    except Exception as error:  # torch and safetensors raise whatever a broken file leads them to
        raise ConfigError(f"weights: {str(weights)!r} cannot be read ({type(error).__name__}: {error})") from error
    tensors = {name: value for name, value in saved.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ConfigError(f"weights: {str(weights)!r} holds no tensors")
    return tensors


_ODD = 0.25
"""Share of weights that may differ: a head of other classes, a first layer of other channels, resized positions."""


def _check_loaded(model: Any, saved: dict[str, Tensor], file: str, backbone: str) -> None:
    """Checks that the file's weights are in the model: with another head, timm loads what fits and skips the rest.

    Names are no help, as timm renames what comes from elsewhere; the values of each weight are compared.

    Raises:
        ConfigError: If more than a few weights of either are not in the other.
    """

    def prints(tensors: Iterable[Tensor]) -> set[tuple[int, str]]:
        weights = [t.detach().float() for t in tensors if t.ndim > 1 and t.is_floating_point()]
        return {(w.numel(), f"{w.abs().sum(dtype=torch.float64).item():.6e}") for w in weights}

    ours, theirs = prints(model.parameters()), prints(saved.values())
    common = len(ours & theirs)
    if common < (1 - _ODD) * max(len(ours), len(theirs), 1):
        raise ConfigError(
            f"weights: {file!r} does not fit {backbone!r}: {common} of the model's {len(ours)} weights are in it, "
            f"which holds {len(theirs)}. Is it of another backbone, or do its names have a prefix, such as "
            f"{next(iter(saved))!r}? timm's are like {next(iter(model.state_dict()))!r}"
        )


def _create(backbone: str, **options: Any) -> Any:
    import timm

    if not timm.is_model(backbone.partition(".")[0]):
        close = nearest(backbone, timm.list_models())
        hint = f"did you mean {close!r}? " if close else ""
        raise ConfigError(
            f"backbone: timm has no model {backbone!r}; {hint}All of them: "
            'python -c "import timm; print(*timm.list_models(), sep=chr(10))"'
        )
    try:
        return timm.create_model(backbone, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in options.items() if k != "pretrained_cfg_overlay")
        raise ConfigError(f"backbone: timm's {backbone!r} refuses ({given}): {error}") from error
    except OSError as error:  # huggingface_hub's and requests' errors derive from it
        raise ConfigError(
            f"pretrained: the weights of {backbone!r} could not be fetched ({type(error).__name__}: {error})\n"
            "Offline? Fetch them on a machine that is online "
            f'(python -c "import timm, torch; torch.save(timm.create_model({backbone!r}, pretrained=True)'
            ".state_dict(), 'weights.pth')\"), copy the file here, and give `weights: weights.pth`."
        ) from error
