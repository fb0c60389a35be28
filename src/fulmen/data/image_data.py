"""What datamodules of image files share."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType
from fulmen.data.image_cache import CACHES, Cache, CacheKind, check_kind
from fulmen.data.image_files import ImageFiles
from fulmen.data.image_paths import ENDINGS, Paths, is_image, scan
from fulmen.data.pixels import CENTRE, Interpolation, Sight
from fulmen.data.splits import check_split
from fulmen.data.splitting import Samples
from fulmen.data.targets import num_outputs

_SIZE = 224
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SHOWN = 5


class Listed(NamedTuple):
    """All labelled images of a datamodule, in one list.

    Attributes:
        paths: The files.
        targets: ``(N,)`` or ``(N, L)``.
        given: ``(N,)`` the split that the data say, or ``""``.
        column: Values ``(N,)`` of a column, by its name.
    """

    paths: Paths
    targets: Tensor
    given: NDArray[np.str_]
    column: Callable[[str], NDArray[Any]]


class ImageData(SupervisedDataModule):
    """Base of the datamodules of image files. Subclasses say which images there are.

    Args:
        image_size: Side in pixels that the network sees: the shorter side is resized to ``image_size / crop``,
            the centre cut out. Augmentations see the resized image before it is cut. ``None``, here and below: on the
            command line what a :class:`fulmen.modules.TransferModule`'s backbone was trained with; else 224.
        channels: 3 for colour, 1 for grey.
        mean: Mean of each channel, of values in [0, 1]; ``None``: the backbone's, else ImageNet's.
        std: Standard deviation of each channel; ``None``: the backbone's, else ImageNet's.
        interpolation: How images are resized; ``None``: the backbone's, else ``bilinear``.
        crop: Share of the shorter side that the network sees, in (0, 1]; ``None``: the backbone's, else 0.875.
        on_bad_file: Whether files that are no images are skipped, and named, or are an error.
        predict_root: A folder of images to predict, at any depth, with no classes.
        cache: Where training and validation images are kept once they are decoded: ``ram`` (in each training
            process, for the run), ``disk`` (in the folder of caches, for all runs; files are told apart by their
            content), or nowhere. What the network sees is the same.
        num_workers: Processes that decode images.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Attributes:
        skipped: Files that are no images.
    """

    root: Path
    skipped: Sequence[Path] = ()

    def __init__(
        self,
        image_size: int | None = None,
        channels: Literal[1, 3] = 3,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        interpolation: Interpolation | None = None,
        crop: float | None = None,
        on_bad_file: Literal["skip", "error"] = "skip",
        predict_root: str | None = None,
        cache: CacheKind | None = None,
        num_workers: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **kwargs)
        self.on_bad_file = on_bad_file
        self.predict_root = None if predict_root is None else existing_folder("predict_root", predict_root)
        self.sight = _sight(image_size, channels, crop, interpolation)
        check_kind(cache)
        self.image_size, self.channels, self.cache = self.sight.size, channels, cache
        self.mean = _per_channel("mean", mean if mean is not None else _IMAGENET[0], channels)
        self.std = _per_channel("std", std if std is not None else _IMAGENET[1], channels)
        self.input_shape = [channels, self.image_size, self.image_size]
        self._caches: dict[bytes, Cache] = {}  # views share it

    @abstractmethod
    def list_samples(self, bad: list[str]) -> Listed | None:
        """All labelled images; ``None`` where a checkpoint's model only predicts, and they are gone.

        Args:
            bad: Files that are no images are added to it.
        """

    def list_unlabelled(self, bad: list[str]) -> Paths | None:
        """The images to predict, if there are any."""
        root = self.predict_root
        if root is None:
            return None
        paths = Paths(root, accepted(root, scan(root), bad))
        if not len(paths):
            raise DataError(f"predict_root: {str(root)!r} holds no image ({', '.join(ENDINGS)})")
        return paths

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Lists the images and splits them."""
        restored = self.take_over()
        bad: list[str] = []
        listed = self.list_samples(bad)
        unlabelled = self.list_unlabelled(bad)
        self.skipped = Paths(Path(), bad)
        self._report()
        made = {} if listed is None else self._split(listed, restored)
        if unlabelled is not None:
            made["predict"] = ImageFiles(unlabelled, None, self.sight)
        self.learned = {"class_names": self.class_names, "target_type": self.target_type}
        return dict(made)

    def take_over(self) -> bool:
        """Takes classes from the checkpoint that is being restored, if there is one; says whether there is."""
        if self.learned:
            self.set_classes(self.learned["target_type"], self.learned["class_names"])
        return bool(self.learned)

    def set_classes(self, target_type: TargetType, class_names: list[str] | None) -> None:
        """Sets what a model is told of the targets."""
        self.target_type, self.class_names = target_type, class_names
        self.num_outputs = num_outputs(target_type, class_names)

    def identity(self, split: str, rows: Tensor) -> Sequence[object]:
        """The image's path, from the folder that was given."""
        paths: Paths = self.datasets[split].paths  # type: ignore[attr-defined]
        return [paths.name(row) for row in rows.tolist()]

    def sample_columns(self, split: str) -> list[str]:
        """``folder``; ``re:PATTERN`` is known too: what a regular expression finds in the path."""
        return ["folder"]

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class."""
        super().sample_values(split, [name for name in names if not name.startswith("re:")])
        paths: Paths = self.datasets[split].paths  # type: ignore[attr-defined]
        return {name: part_of_path(paths, name) for name in names if name == "folder" or name.startswith("re:")}

    def normalize(self, inputs: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` to floats of the mean and standard deviation that were given."""
        scale = [1 / (255 * std) for std in self.std]
        shift = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        # as large as an image, and in its memory format: to broadcast 3 numbers takes the CPU 4 times as long
        scales, shifts = (torch.empty_like(inputs[:1], dtype=torch.float32) for _ in range(2))
        for plane in range(self.channels):
            scales[:, plane], shifts[:, plane] = scale[plane], shift[plane]
        return inputs.float().mul_(scales).add_(shifts)

    def _split(self, listed: Listed, restored: bool) -> dict[str, ImageFiles]:
        labels = listed.targets.numpy() if self.target_type in ("multiclass", "binary") else None
        samples = Samples(len(listed.paths), labels, listed.paths.names(), listed.given, listed.column)
        rows = self.splitting(samples)
        if not restored:
            check_split(rows, labels, self.class_names or [])
        cache = self._open_cache(listed.paths, np.sort(np.concatenate([rows["train"], rows["val"]])))
        return {
            name: ImageFiles(listed.paths.select(r), listed.targets[r], self.sight, cache) for name, r in rows.items()
        }

    def _open_cache(self, paths: Paths, rows: NDArray[np.int64]) -> Cache | None:
        """One for training and validation together; folds of the same data share it."""
        if self.cache is None:
            return None
        key = rows.tobytes()
        if key not in self._caches:
            self._caches.clear()
            self._caches[key] = CACHES[self.cache](paths, rows, self.sight)
        return self._caches[key]

    def _report(self) -> None:
        count = len(self.skipped)
        if not count:
            return
        first = [p.relative_to(self.root) if p.is_relative_to(self.root) else p for p in self.skipped[:_SHOWN]]
        names = ", ".join(map(str, first)) + (f" and {count - _SHOWN} more" if count > _SHOWN else "")
        if self.on_bad_file == "error":
            raise DataError(
                f"{count} files are no images that can be read: {names}; remove them, or set data.on_bad_file: skip"
            )
        rank_zero_info(f"Skipped {count} file(s) that are no JPEG, PNG, WebP, BMP or TIFF image: {names}")


def accepted(root: Path, names: Iterable[str], bad: list[str]) -> Iterator[str]:
    """Those of the names that are images; the paths of the others are added to ``bad``."""
    for name in names:
        path = os.path.join(root, name)
        if is_image(path):
            yield name
        else:
            bad.append(path)


def existing_folder(argument: str, folder: str | Path) -> Path:
    """A folder that is there.

    Raises:
        DataError: If it is not.
    """
    if not Path(folder).is_dir():
        raise DataError(f"{argument}: there is no folder {str(folder)!r} (from {Path.cwd()})")
    return Path(folder)


def part_of_path(paths: Paths, name: str) -> NDArray[Any]:
    """A part of each path, ``None`` where it is missing.

    Args:
        paths: The paths.
        name: ``folder``: all that stands before the file's name; or ``re:PATTERN``: what the pattern's first group (or
            the whole pattern) finds.

    Raises:
        ConfigError: If the pattern is none.
    """
    if name == "folder":
        return np.array([path.rpartition("/")[0] or None for path in paths.names()], object)
    try:
        pattern = re.compile(name[3:])
    except re.error as error:
        raise ConfigError(f"slices: {name[3:]!r} is no regular expression: {error}") from error
    found = (pattern.search(path) for path in paths.names())
    return np.array([match[1 if pattern.groups else 0] if match else None for match in found], object)


def path_column(paths: Paths, name: str, label_depth: int | None = None) -> NDArray[Any]:
    """Values that paths hold.

    Args:
        paths: The paths.
        name: ``folder``: the first folder below the class folder, or ``re:PATTERN``: what the pattern's first group
            (or the whole pattern) finds in the path.
        label_depth: How many folders stand before the class folder's content; ``None``: there are no class folders.

    Raises:
        ConfigError: If the pattern is none.
        DataError: If a path does not match it, or has no such folder.
    """
    if name == "folder" and label_depth is not None:
        pattern, found = re.compile(rf"(?:[^/]+/){{{label_depth}}}([^/]+)/"), "lies directly in its class folder"
        find = pattern.match
    elif name.startswith("re:"):
        try:
            pattern = re.compile(name[3:])
        except re.error as error:
            raise ConfigError(f"split_by: {name[3:]!r} is no regular expression: {error}") from error
        find, found = pattern.search, f"does not match {name[3:]!r}"
    else:
        raise DataError(
            f"split_by: {unknown('column', name, ['folder'])}, or 're:' and a regular expression of the path"
        )
    values, group = [], 1 if pattern.groups else 0
    for path in paths.names():
        match = find(path)
        if match is None or match[group] is None:
            raise DataError(f"split_by: {path!r} {found}")
        values.append(match[group])
    return np.array(values)


def _sight(size: int | None, channels: int, crop: float | None, interpolation: Interpolation | None) -> Sight:
    if size is not None and size < 1:
        raise ConfigError(f"image_size: {size} is out of range; allowed: at least 1 pixel")
    if crop is not None and not 0 < crop <= 1:
        raise ConfigError(f"crop: {crop} is out of range; allowed: 0 < crop <= 1")
    if interpolation not in (None, *get_args(Interpolation)):
        raise ConfigError(f"interpolation: {unknown('way', str(interpolation), get_args(Interpolation))}")
    return Sight(size or _SIZE, channels, crop or CENTRE, interpolation or "bilinear")


def _per_channel(name: str, values: Sequence[float], channels: int) -> list[float]:
    if len(values) == 3 and channels == 1:
        values = [sum(values) / 3]
    if len(values) != channels:
        raise ConfigError(f"{name}: needs one number a channel ({channels}), got {list(values)}")
    return [float(v) for v in values]
