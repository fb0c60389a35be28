"""Transfer learning with timm backbones."""

from typing import Any

from torch import nn

from fulmen.core.spec import ActivationSpec
from fulmen.modules.base import SupervisedModule
from fulmen.modules.feature_cache import FeatureCache, FeatureCacheSpec, check_frozen
from fulmen.modules.layer_rates import check_decays, check_layer_decay, layer_rates
from fulmen.modules.norm_sync import check_norm_sync
from fulmen.modules.optimizers import LayerRates
from fulmen.modules.unfreezing import Unfreezing
from fulmen.networks import Transfer, data_defaults
from fulmen.networks.freezing import BatchNormPolicy, Freeze


class TransferModule(SupervisedModule):
    """Trains a new head on a timm backbone, and as much of the backbone as is not frozen.

    Args:
        backbone: Name of a timm model, such as ``resnet18``, ``vgg16_bn``, ``inception_v3``, ``mobilenetv2_100``.
        pretrained: Fetch the backbone's weights from the hub.
        weights: A local file with the backbone's weights (``.pth`` or ``.safetensors``) instead.
        freeze: ``all`` (only the head is trained), ``none``, the number of first stages that are frozen,
            ``"until: layer3"`` (what comes before that stage or module), or a list of patterns of the timm model's
            parameter names. `lightning model` lists the stages.
        batch_norm: Whether the statistics of norm layers rest where they are frozen and follow the data elsewhere
            (``follow``), rest everywhere (``frozen``), or follow the data everywhere (``update``).
        unfreeze: Gradual unfreezing: steps ``[{epoch: 3, stages: 1, lr: 3.0e-4}, {epoch: 5, stages: all}]`` (from that
            epoch on, counted from 0, the last ``stages`` before the head are trained as well; those that thaw have the
            rate ``lr``, or the optimizer's), or a pace, ``{epoch: 3, every: 2, lr_factor: 0.5}`` (from epoch 3 on one
            more stage every 2 epochs, each at ``lr_factor`` times the rate of the one above it).
        layer_decay: The rate of a layer is the optimizer's times ``layer_decay`` to the power of its distance from the
            head, in (0, 1].
        feature_cache: Where the features of a fully frozen backbone are kept, so that it runs once and not in every
            epoch: ``ram`` (for the run), ``disk`` (in the folder of caches, for all runs of the same weights, transform
            and data), or nowhere; or a mapping with ``where``, ``views`` (augmented views of each sample, where the
            data have ``augment``: epoch ``e`` sees view ``e % views``) and ``batch_size`` (images at once).
        activation: Spec of the activation that takes the place of the backbone's own; ``None`` keeps them.
        drop_rate: Dropout before the head, in [0, 1).
        drop_path_rate: Stochastic depth, in [0, 1).
        gradient_checkpointing: Whether blocks run again in the backward pass, instead of keeping their activations:
            less memory, more time.
        backbone_options: Further options of the timm model, such as ``{pad_type: same}``.
        **kwargs: Arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Freeze = "all",
        batch_norm: BatchNormPolicy = "follow",
        unfreeze: list[dict[str, Any]] | dict[str, Any] | None = None,
        layer_decay: float = 1.0,
        feature_cache: FeatureCacheSpec = None,
        activation: ActivationSpec = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        gradient_checkpointing: bool = False,
        backbone_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_layer_decay(layer_decay, unfreeze)
        super().__init__(**kwargs)
        self._layer_decay = layer_decay
        self._unfreezing: Unfreezing | None = None
        if unfreeze is not None or layer_decay < 1:
            self._unfreezing = Unfreezing(self.network, unfreeze)
            check_decays(self.network.model, layer_decay, self._unfreezing)
        self._feature_cache: FeatureCache | None = None
        if feature_cache is not None:
            self._feature_cache = FeatureCache(feature_cache)
            check_frozen(self)

    @classmethod
    def data_defaults(cls, backbone: str = "resnet18", **kwargs: Any) -> dict[str, Any]:
        """How the images of a backbone's training were prepared: what a datamodule takes that is not told otherwise.

        Args:
            backbone: Name of a timm model.
            **kwargs: The other arguments of the class, which play no part.

        Returns:
            See :func:`fulmen.networks.data_defaults`.
        """
        return data_defaults(backbone)

    def build_network(self) -> nn.Module:
        """A :class:`fulmen.networks.Transfer`."""
        return self.make(Transfer)

    def layer_rates(self, lr: float) -> LayerRates:
        """The learning rate of each of the backbone's parameters, where they differ or change.

        Args:
            lr: The optimizer's rate.
        """
        if self._unfreezing is None:
            return {}
        return layer_rates(self.network.model, lr, self._layer_decay, self._unfreezing)

    def setup(self, stage: str) -> None:
        """Checks norm layers; lets ``fit`` load features, where they are cached."""
        super().setup(stage)
        if stage == "fit":
            check_norm_sync(self.network, self.trainer)
        if self._feature_cache is not None and stage == "fit":
            self._feature_cache.place(self.trainer)

    def on_fit_start(self) -> None:
        """Checks that the trainer can follow the schedule of unfreezing; computes features that are cached."""
        super().on_fit_start()
        if self._unfreezing is not None:
            self._unfreezing.check(self.network, self.trainer)
        if self._feature_cache is not None:
            self._feature_cache.fill(self)

    def on_fit_end(self) -> None:
        """Lets go of cached features."""
        super().on_fit_end()
        if self._feature_cache is not None:
            self.trainer.datamodule.stand_ins = {}  # type: ignore[attr-defined]

    def on_train_start(self) -> None:
        """Freezes what is frozen in this epoch, also in one that a checkpoint resumes in its middle."""
        super().on_train_start()
        self._follow_schedule()

    def on_train_epoch_start(self) -> None:
        """Freezes what is frozen in this epoch, which says all there is to say."""
        super().on_train_epoch_start()
        self._follow_schedule()

    def _follow_schedule(self) -> None:
        if self._unfreezing is not None:
            self._unfreezing.apply(self.network, self.current_epoch, self.trainer)
