"""How the features of a frozen backbone are computed, and what they depend on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fulmen.core.errors import ConfigError
from fulmen.core.spec import at
from fulmen.data.features import FeatureRows
from fulmen.networks.features import classifier_inputs, folded
from fulmen.nn.modes import mode_kept

Forward = Callable[[Tensor], Tensor]

_SINGLE, _HALF = 1e-5, 2e-2
"""How far logits may differ, as a share of the largest (or of 1), in single precision and in half."""


def sample(module: Any, rows: FeatureRows) -> Tensor:
    """One or two images ``(N, C, H, W)`` as the network gets them."""
    batch = rows.source.__getitems__(list(range(min(2, len(rows)))))
    batch = module.trainer.strategy.batch_to_device(batch, module.device)
    return module.trainer.precision_plugin.convert_input(batch.inputs)  # type: ignore[no-any-return]


def check_head(module: Any, images: Tensor) -> None:
    """Compares logits of images with those of their features, in evaluation and in training mode.

    Raises:
        ConfigError: If they differ.
    """
    network = module.network
    with mode_kept(network), torch.no_grad(), module.trainer.precision_plugin.forward_context():
        for training in (False, True):
            network.train(training)
            with at("feature_cache"):
                features = network.features(images)
            torch.manual_seed(0)
            logits = network(images)
            torch.manual_seed(0)
            if not _close(logits, network(features)):
                raise ConfigError(
                    "feature_cache: this backbone cannot be cached: its logits depend on more than what its classifier "
                    "gets, or change from one pass to the next in training (dropout inside the backbone, say); write "
                    "`feature_cache: null`"
                )


def fast_forward(module: Any, images: Tensor) -> Forward:
    """The fastest way to the features of images ``(N, C, H, W)`` that gives the same logits."""
    network, plugin = module.network, module.trainer.precision_plugin
    with mode_kept(network), torch.no_grad(), plugin.forward_context():
        network.eval()
        logits, fast = network(images), folded(network.model, images[:1])
        same = _close(logits, network(classifier_inputs(fast, _channels_last(images))))
    if not same:  # the network's own numbers count
        fast = copy.deepcopy(network.model).eval()
        rank_zero_info("feature_cache: the network runs as it is: with folded batch normalization its logits differ")

    def features(inputs: Tensor) -> Tensor:
        inputs = plugin.convert_input(inputs)
        with torch.inference_mode(), plugin.forward_context():
            found = classifier_inputs(fast, _channels_last(inputs) if same else inputs)
        return found if found.dtype == torch.float64 else found.float()

    return features


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    half = one.dtype in (torch.float16, torch.bfloat16)
    limit = (_HALF if half else _SINGLE) * max(1.0, float(one.abs().max()))
    return bool((one - other).abs().max() <= limit)


def describe_network(module: Any) -> dict[str, Any]:
    """Everything of the network that decides what it makes of its inputs."""
    import timm

    model = module.network.model
    head = {id(t) for t in model.get_classifier().state_dict(keep_vars=True).values()}
    weights = blake2b(digest_size=16)
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in head:
            weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            weights.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    names = ("backbone", "backbone_options", "activation")
    return {
        "weights": weights.hexdigest(),
        "model": str(model),  # its layers with their options
        "options": {name: module.hparams[name] for name in names if name in module.hparams},
        "input_shape": list(module.input_shape),
        "precision": str(module.trainer.precision),
        "device": module.device.type,
        "timm": timm.__version__,
    }
