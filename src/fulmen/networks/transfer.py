"""A pretrained timm backbone with a new head."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.core.restoring import is_restoring
from fulmen.core.spec import ActivationSpec
from fulmen.networks.activation_swap import swap_activations
from fulmen.networks.backbone import classifier, create_backbone
from fulmen.networks.features import classifier_inputs, classify
from fulmen.networks.freezing import BatchNormPolicy, Freeze, frozen_names, rest
from fulmen.networks.gradient_checkpointing import checkpoint_gradients
from fulmen.nn.modes import mode_kept

_REAL = "give `pretrained: true` or `weights: file`, or train everything with `freeze: none`"


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
        freeze: ``all`` (only the head is trained), ``none``, the number of first stages, in timm's own grouping,
            that are frozen, ``"until: layer3"`` (what comes before that stage or module), or a list of patterns of
            the timm model's parameter names (``[conv1.*, layer1.*]``).
        batch_norm: Whether the statistics of norm layers rest where they are frozen and follow the data elsewhere
            (``follow``), rest everywhere (``frozen``), or follow the data everywhere (``update``).
        activation: Spec of the activation that takes the place of the backbone's own; ``None`` keeps them.
        drop_rate: Dropout before the head, in [0, 1).
        drop_path_rate: Stochastic depth, in [0, 1) (Huang et al. 2016); not every backbone has it.
        gradient_checkpointing: Whether blocks run again in the backward pass, instead of keeping their activations:
            less memory, more time.
        backbone_options: Further options of the timm model, such as ``{pad_type: same}``.

    Attributes:
        model: The timm model.
        swap: Which activations were exchanged, and which were left.

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
        freeze: Freeze = "all",
        batch_norm: BatchNormPolicy = "follow",
        activation: ActivationSpec = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        gradient_checkpointing: bool = False,
        backbone_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ConfigError(f"input_shape: a backbone takes images (C, H, W); the data give {tuple(input_shape)}")
        for name, share in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
            if not 0 <= share < 1:
                raise ConfigError(f"{name}: {share} is out of range; allowed: 0 <= {name} < 1")
        fetched = not is_restoring()  # a checkpoint has the weights
        random = fetched and not (pretrained or weights)
        if random and freeze == "all":
            raise ConfigError(f"freeze: 'all' would train a head on random features; {_REAL}")
        options = {"drop_rate": drop_rate, **(backbone_options or {})}
        self.drop_rate = float(options["drop_rate"])
        if drop_path_rate:
            options["drop_path_rate"] = drop_path_rate
        self.model = create_backbone(
            backbone,
            input_shape,
            num_outputs,
            pretrained and fetched,
            weights if fetched else None,
            {"backbone": backbone, "backbone_options": backbone_options, "activation": activation},
            partial(self._exchange, activation),
            **options,
        )
        if gradient_checkpointing:
            checkpoint_gradients(self.model, backbone)
        self._reset_head()
        self.batch_norm = batch_norm
        frozen = frozen_names(self.model, freeze)
        if random and frozen >= frozen_names(self.model, "all"):
            raise ConfigError(f"freeze: {freeze!r} would train a head on random features; {_REAL}")
        if random:
            rank_zero_info(
                f"{backbone} starts from random weights{', also where it is frozen' if frozen else ''}; for trained "
                "ones give `pretrained: true` or `weights: file`"
            )
        self.set_frozen(frozen)

    def _exchange(self, activation: ActivationSpec, model: nn.Module) -> None:
        self.swap = swap_activations(model, activation)

    def _reset_head(self) -> None:
        """Starts the head as torch starts a linear layer.

        Some timm families draw a head's weights by its number of outputs (MobileNet's from [-1, 1] for one
        output), which a short training of the head alone cannot undo.
        """
        for layer in classifier(self.model).modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.reset_parameters()

    def set_frozen(self, names: Set[str]) -> None:
        """Freezes these parameters, thaws all others, and lets rest what then must not move.

        Args:
            names: Names of parameters of :attr:`model`.
        """
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in names)
        self.train(self.training)

    def train(self, mode: bool = True) -> Transfer:
        """Sets the mode; what is frozen stays in evaluation mode (see :func:`fulmen.networks.freezing.rest`)."""
        super().train(mode)
        if mode:
            rest(self.model, self.batch_norm)
        return self

    def features(self, x: Tensor) -> Tensor:
        """What the classifier gets, in evaluation mode: ``(N, C, H, W)`` to ``(N, F)``.

        Raises:
            ConfigError: If the backbone has several classifiers, or one that takes something else.
        """
        with mode_kept(self.model):
            return classifier_inputs(self.model.eval(), x)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, C, H, W)``, or their :meth:`features` ``(N, F)``, to ``(N, num_outputs)``."""
        if x.ndim == 2:
            return classify(self.model, x, self.drop_rate, self.training)
        return self.model(x)  # type: ignore[no-any-return]
