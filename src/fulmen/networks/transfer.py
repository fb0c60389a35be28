"""A pretrained timm backbone with a new head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

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
        source = _source(pretrained, weights)
        self.model = _create(backbone, num_classes=num_outputs, in_chans=input_shape[0], **source, **options)
        self._freeze(freeze)

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


def _source(pretrained: bool, weights: str | Path | None) -> dict[str, Any]:
    """The arguments for timm that say where weights come from; none while a checkpoint is being restored."""
    if is_restoring():
        return {"pretrained": False}
    if weights is None:
        return {"pretrained": pretrained}
    if not Path(weights).is_file():
        raise ConfigError(f"weights: there is no file {str(weights)!r} (from {Path.cwd()})")
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}


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
        given = ", ".join(f"{k}={v!r}" for k, v in options.items())
        raise ConfigError(f"backbone: timm's {backbone!r} refuses ({given}): {error}") from error
    except OSError as error:  # huggingface_hub's and requests' errors derive from it
        raise ConfigError(
            f"pretrained: the weights of {backbone!r} could not be fetched ({type(error).__name__}: {error})\n"
            "Offline? Fetch them on a machine that is online "
            f'(python -c "import timm, torch; torch.save(timm.create_model({backbone!r}, pretrained=True)'
            ".state_dict(), 'weights.pth')\"), copy the file here, and give `weights: weights.pth`."
        ) from error
