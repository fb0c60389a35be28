"""Features of a frozen backbone, computed once: the head trains on them instead of the images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.data.feature_files import FeatureFile, check_memory
from fulmen.data.features import FeatureRows, describe
from fulmen.data.image_cache import amount
from fulmen.modules.frozen_features import Forward, check_head, describe_network, fast_forward, sample
from fulmen.networks import Transfer

Where = Literal["ram", "disk"]
FeatureCacheSpec = Where | dict[str, Any] | None
Room = Callable[[int, int, torch.dtype], Tensor]

_ON_CPU = 8
"""Images at once on a CPU: what a layer makes of them stays in its cache, 1.4 times as fast as 32 (MobileNetV2)."""
_SAYS_EVERY = 30.0


class FeatureCache:
    """Computes what the classifier of a frozen backbone gets, and lets ``fit`` load that instead of images.

    Nothing else changes: batches have the same samples in the same order, so the head becomes the same; evaluation
    after the training, predictions and checkpoints are those of the whole model.

    Args:
        spec: ``ram`` (for the run), ``disk`` (in the folder of caches, for all runs), or a mapping: ``where`` (one of
            these), ``views`` (augmented views of each training sample: epoch ``e`` sees view ``e % views``, which is
            what epoch ``e % views`` would see without the cache) and ``batch_size`` (images at once while features are
            computed).

    Raises:
        ConfigError: If the spec is wrong.
    """

    def __init__(self, spec: Where | Mapping[str, Any]) -> None:
        given: dict[str, Any] = {"where": spec} if isinstance(spec, str) else dict(spec)
        allowed = ("where", "views", "batch_size")
        for name in given:
            if name not in allowed:
                raise ConfigError(f"feature_cache: {unknown('option', str(name), allowed)}")
        self.where = given.get("where", "ram")
        if self.where not in get_args(Where):
            raise ConfigError(f"feature_cache: {self.where!r} is not allowed; write ram, disk or null")
        self.views: int | None = given.get("views")
        self.batch_size: int | None = given.get("batch_size")
        for name in ("views", "batch_size"):
            value = given.get(name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"feature_cache: {name}: {value!r} is out of range; allowed: at least 1")

    # Before loaders are made

    def place(self, trainer: Trainer) -> None:
        """Puts data sets without features yet into the datamodule: loaders are asked for their lengths early.

        Args:
            trainer: About to fit.

        Raises:
            ConfigError: If the data or the strategy do not allow a cache.
        """
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, SupervisedDataModule):
            raise ConfigError(
                f"feature_cache: needs one of Fulmen's datamodules, and got {type(data).__name__}; wrap a data set in "
                "DatasetData(...), or write `feature_cache: null`"
            )
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise ConfigError(
                f"feature_cache: does not work with {type(trainer.strategy).__name__}; use `trainer.strategy: ddp`, "
                "or write `feature_cache: null`"
            )
        if data.augment and self.views is None:
            raise ConfigError(
                "feature_cache: with data.augment, say how many augmented views of each sample are kept: "
                "`feature_cache: {where: ram, views: 5}`; or leave augment out"
            )
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            rank_zero_info("feature_cache: fast_dev_run looks at a few batches only, which stay images")
            return
        for split in ("train", "val"):
            if split in data.datasets and not (split == "val" and trainer.limit_val_batches == 0):
                views = (self.views or 1) if data.augment and split == "train" else 1
                data.stand_ins[split] = FeatureRows(data, split, views)

    # When weights are what they will be

    def fill(self, module: LightningModule) -> None:
        """Computes the features, or finds them on disk.

        Args:
            module: On its device, with its weights; its trainer is about to train.

        Raises:
            ConfigError: If the head cannot be trained on features alone.
            DataError: If there is no room for them.
        """
        _check_regularizers(module)
        if not module.trainer.datamodule.stand_ins:  # type: ignore[attr-defined]
            return
        with _random_state_kept(module.device):  # loaders draw from it, and the training shall draw as without a cache
            self._fill_all(module)

    def _fill_all(self, module: LightningModule) -> None:
        data: Any = module.trainer.datamodule  # type: ignore[attr-defined]
        images = sample(module, data.stand_ins["train"])
        check_head(module, images)
        forward: Forward | None = None
        for rows in data.stand_ins.values():
            start = time.perf_counter()
            file = self._file(module, rows)
            found = None if file is None else self._on_disk(module, file, rows)
            came = "found"
            if found is None:
                forward = forward or fast_forward(module, images)
                found, came = self._compute(module, rows, forward, file), "computed"
            rows.fill(found)
            place = "in memory" if file is None else f"in {file.path}"
            views = f" in {rows.views} views" if rows.views > 1 else ""
            rank_zero_info(
                f"feature_cache: {len(rows)} {rows.split} samples{views}, {found.shape[1]} features each, "
                f"{amount(found.nbytes)} {place}, {came} in {time.perf_counter() - start:.1f} s"
            )

    def _file(self, module: LightningModule, rows: FeatureRows) -> FeatureFile | None:
        """Where the features belong; one process reads all samples to find out."""
        if self.where != "disk":
            return None
        about = {**describe(rows), **describe_network(module)} if module.trainer.is_global_zero else {}
        return FeatureFile(module.trainer.strategy.broadcast(about))

    def _on_disk(self, module: LightningModule, file: FeatureFile, rows: FeatureRows) -> Tensor | None:
        """Features that all processes have on their disks: else they compute them together."""
        found = file.read(rows.views * len(rows))
        everywhere = module.trainer.strategy.reduce_boolean_decision(found is not None, all=True)
        return found if everywhere else None

    def _compute(
        self, module: LightningModule, rows: FeatureRows, forward: Forward, file: FeatureFile | None
    ) -> Tensor:
        trainer, total = module.trainer, rows.views * len(rows)
        if file is None:
            return self._gather(module, rows, forward, _memory)
        try:  # one process on each machine writes
            self._gather(module, rows, forward, file.room if trainer.local_rank == 0 else None)
            file.keep()
        finally:
            file.discard()
        trainer.strategy.barrier("feature_cache")
        found = file.read(total)
        if found is None:
            raise ConfigError(
                f"feature_cache: {file.path} is not there for process {trainer.global_rank}; all processes of a "
                "machine need the same folder of caches (FULMEN_CACHE)"
            )
        return found

    def _gather(self, module: LightningModule, rows: FeatureRows, forward: Forward, room: Room | None) -> Tensor:
        """Every process computes its share; all get everything, batch by batch."""
        trainer, data, total = module.trainer, rows.data, rows.views * len(rows)
        share = math.ceil(total / trainer.world_size)
        # the last ones may be computed twice, so that all processes run as many batches
        mine = (torch.arange(share) * trainer.world_size + trainer.global_rank).clamp_max(total - 1)
        size = self.batch_size or (_ON_CPU if module.device.type == "cpu" else data.eval_batch_size)
        store: Tensor | None = None
        said = time.monotonic()
        loader = data.in_order(rows.source, mine.tolist(), size)
        for draws, batch in zip(torch.split(mine, size), loader, strict=True):
            features = forward(trainer.strategy.batch_to_device(batch, module.device).inputs)
            features, places = (_of_all(part, trainer.world_size) for part in (features, draws.to(module.device)))
            if store is None and room is not None:
                store = room(total, features.shape[1], features.dtype)
            if store is not None:
                store[places.cpu()] = features.cpu()
            if time.monotonic() - said > _SAYS_EVERY:
                said = time.monotonic()
                rank_zero_info(f"feature_cache: {int(places[-1]) + 1} of {total} {rows.split} features")
        return torch.empty(0) if store is None else store


def _random_state_kept(device: torch.device) -> AbstractContextManager[None]:
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _of_all(rows: Tensor, processes: int) -> Tensor:
    """The rows of all processes, one after the other; each has as many."""
    if processes == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(processes)]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def _memory(rows: int, width: int, dtype: torch.dtype) -> Tensor:
    check_memory(rows * width * dtype.itemsize)
    return torch.empty(rows, width, dtype=dtype)


def check_frozen(module: LightningModule) -> None:
    """Checks that the classifier alone is trained, and nothing else moves.

    Raises:
        ConfigError: If it is not.
    """
    network, options = module.network, module.hparams
    assert isinstance(network, Transfer)
    advice = "write `freeze: all`, `unfreeze: null` and no `batch_norm: update`; or `feature_cache: null`"
    if options.get("unfreeze"):
        raise ConfigError(f"feature_cache: `unfreeze` changes the backbone, and its features with it; {advice}")
    if options.get("batch_norm") == "update":
        raise ConfigError(f"feature_cache: `batch_norm: update` changes the features in every step; {advice}")
    head = network.model.get_classifier()
    if not isinstance(head, nn.Module):
        raise ConfigError("feature_cache: this backbone has more than one classifier; write `feature_cache: null`")
    own = {id(p) for p in head.parameters()}
    moving = [name for name, p in network.model.named_parameters() if p.requires_grad and id(p) not in own]
    if moving:
        raise ConfigError(f"feature_cache: {moving[0]} is trained, and the features change with it; {advice}")


def _check_regularizers(module: Any) -> None:
    """Refuses those that act on images or on layers of the backbone, which do not run.

    Raises:
        ConfigError: If there are any.
    """
    network = module.network.model
    head = set(network.get_classifier().modules())
    found = module._regularization.acting_on(part for part in network.modules() if part not in head)
    if found:
        raise ConfigError(
            f"regularizers: {found[0]} acts on images or on layers of the backbone, which do not run with a feature "
            "cache; leave it out, or write `feature_cache: null`"
        )
