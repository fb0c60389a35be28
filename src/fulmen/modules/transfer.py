"""Transfer learning with timm backbones."""

from typing import Any, Literal

from torch import nn

from fulmen.modules.base import SupervisedModule
from fulmen.networks import Transfer


class TransferModule(SupervisedModule):
    """Trains a new head on a timm backbone, and as much of the backbone as is not frozen.

    Args:
        backbone: Name of a timm model, such as ``resnet18``, ``vgg16_bn``, ``inception_v3``, ``mobilenetv2_100``.
        pretrained: Fetch the backbone's weights from the hub.
        weights: A local file with the backbone's weights (``.pth`` or ``.safetensors``) instead.
        freeze: ``all`` (only the head is trained), ``none``, or the number of first stages that are frozen.
        drop_rate: Dropout before the head, in [0, 1).
        drop_path_rate: Stochastic depth, in [0, 1).
        backbone_options: Further options of the timm model, such as ``{pad_type: same}``.
        **kwargs: Arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Literal["all", "none"] | int = "all",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        backbone_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """A :class:`fulmen.networks.Transfer`."""
        return self.make(Transfer)
