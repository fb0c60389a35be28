"""Images in class folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import BatchedDataset, SupervisedDataModule
from fulmen.data.splits import check_split
from fulmen.data.splitting import Samples

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_ENDINGS = ", ".join(sorted(_SUFFIXES))
_SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
_CENTRE = 0.875
"""Share of the shorter side that the network sees."""
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ImageFolderData(SupervisedDataModule):
    """Images in one folder a class: ``root/train/cat/1.jpg`` with folders for the splits, or ``root/cat/1.jpg``.

    Folders for splits are ``train``, ``val`` (or ``valid``, ``validation``) and ``test``. Without ``val``,
    validation is split from ``train``; without any of them, validation and test are split from all images,
    by file name, so that images added later move no old one. JPEG, PNG, WebP, BMP and TIFF are read.

    Args:
        root: The folder.
        image_size: Side in pixels that the network sees: the shorter side is resized to ``image_size / 0.875``,
            the centre cut out. Augmentations see the resized image before it is cut.
        channels: 3 for colour, 1 for grey.
        mean: Mean of each channel, of values in [0, 1]; ``None``: ImageNet's.
        std: Standard deviation of each channel; ``None``: ImageNet's.
        on_bad_file: Whether files that are no images are skipped, and named, or are an error.
        predict_root: A folder of images to predict, at any depth, with no classes.
        num_workers: Processes that decode images.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Raises:
        DataError: If there is no folder, no class or no image.
    """

    def __init__(
        self,
        root: str,
        image_size: int = 224,
        channels: Literal[1, 3] = 3,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        on_bad_file: Literal["skip", "error"] = "skip",
        predict_root: str | None = None,
        num_workers: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **kwargs)
        self.root, self.on_bad_file = Path(root), on_bad_file
        self.predict_root = None if predict_root is None else Path(predict_root)
        for name, folder in (("root", self.root), ("predict_root", self.predict_root)):
            if folder is not None and not folder.is_dir():
                raise DataError(f"{name}: there is no folder {str(folder)!r} (from {Path.cwd()})")
        if image_size < 1:
            raise ConfigError(f"image_size: {image_size} is out of range; allowed: at least 1 pixel")
        self.image_size, self.channels = image_size, channels
        self.mean = _per_channel("mean", mean if mean is not None else _IMAGENET[0], channels)
        self.std = _per_channel("std", std if std is not None else _IMAGENET[1], channels)
        self._folders = self._find_split_folders()
        self.class_names = _class_folders(self._folders.get("train", self.root))
        self.target_type = "binary" if len(self.class_names) == 2 else "multiclass"
        self.num_outputs = 1 if self.target_type == "binary" else len(self.class_names)
        self.input_shape = [channels, image_size, image_size]

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Lists the images and splits them."""
        skipped: list[Path] = []
        folders = self._folders or {"train": self.root}
        listed = {split: self._list(folder, skipped) for split, folder in folders.items()}
        if "val" not in listed:
            paths, classes = listed.pop("train")
            keys = [path.relative_to(self.root).as_posix() for path in paths]
            given = np.full(len(keys), "train" if self._folders else "")
            rows = self.splitting(Samples(len(keys), classes, keys, given))
            listed |= {name: ([paths[i] for i in r], classes[r]) for name, r in rows.items() if name not in listed}
        labels = listed["train"][1]
        check_split({"train": np.arange(len(labels))}, labels, self.class_names or [])
        if self.predict_root is not None:
            found = sorted(p for p in self.predict_root.rglob("*") if p.is_file())
            images = [p for p in found if self._accept(p, skipped)]
            if not images:
                raise DataError(f"predict_root: {str(self.predict_root)!r} holds no image ({_ENDINGS})")
            listed["predict"] = images, np.full(len(images), -1)
        self._report(skipped)
        return {name: self._dataset(paths, classes) for name, (paths, classes) in listed.items()}

    def identity(self, split: str, rows: Tensor) -> Sequence[object]:
        """The image's path, from the folder that was given."""
        base = self.predict_root if split == "predict" and self.predict_root else self.root
        paths = self.datasets[split].paths  # type: ignore[attr-defined]
        return [paths[row].relative_to(base).as_posix() for row in rows]

    def normalize(self, inputs: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` to floats of the mean and standard deviation that were given."""
        mean, std = (torch.tensor(v, device=inputs.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return inputs.float().div_(255).sub_(mean).div_(std)

    def _find_split_folders(self) -> dict[str, Path]:
        found = {
            split: self.root / name
            for split, names in _SPLIT_FOLDERS.items()
            for name in names
            if (self.root / name).is_dir()
        }
        if found and "train" not in found:
            names = ", ".join(sorted(p.name for p in found.values()))
            raise DataError(f"root: {str(self.root)!r} has {names} but no folder 'train'")
        return found

    def _list(self, folder: Path, skipped: list[Path]) -> tuple[list[Path], np.ndarray[Any, np.dtype[np.int64]]]:
        numbers = {name: i for i, name in enumerate(self.class_names or [])}
        paths, classes = [], []
        for name in _class_folders(folder):
            if name not in numbers:
                raise DataError(f"{folder}: {unknown('class', name, numbers)} (the folders of the training split)")
            files = sorted(p for p in (folder / name).rglob("*") if p.is_file())
            good = [p for p in files if self._accept(p, skipped)]
            if not good:
                raise DataError(f"the class folder {str(folder / name)!r} holds no image ({_ENDINGS})")
            paths += good
            classes += [numbers[name]] * len(good)
        return paths, np.array(classes, dtype=np.int64)

    def _accept(self, path: Path, skipped: list[Path]) -> bool:
        good = path.suffix.lower() in _SUFFIXES and _has_signature(path)
        if not good:
            skipped.append(path)
        return good

    def _report(self, skipped: list[Path]) -> None:
        if not skipped:
            return
        names = ", ".join(str(p.relative_to(self.root) if p.is_relative_to(self.root) else p) for p in skipped[:5])
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        if self.on_bad_file == "error":
            raise DataError(
                f"{len(skipped)} files are no images that can be read: {names}{more}; remove them, or set "
                "data.on_bad_file: skip"
            )
        rank_zero_info(f"Skipped {len(skipped)} file(s) that are no JPEG, PNG, WebP, BMP or TIFF image: {names}{more}")

    def _dataset(self, paths: list[Path], classes: np.ndarray[Any, np.dtype[np.int64]]) -> ImageFiles:
        return ImageFiles(paths, torch.from_numpy(classes), self.image_size, self.channels)


class ImageFiles(Dataset[Batch]):
    """Images that are decoded when they are asked for.

    Args:
        paths: The files.
        targets: ``(N,)`` classes; -1 where they are not known.
        size: Side of the square that is cut out, in pixels.
        channels: 3 for colour, 1 for grey.
    """

    def __init__(self, paths: list[Path], targets: Tensor, size: int, channels: int) -> None:
        self.paths, self.targets, self.size, self.channels = paths, targets, size, channels

    def __len__(self) -> int:
        return len(self.paths)

    def describe(self, index: int) -> str:
        """What messages call an image: its path."""
        return str(self.paths[index])

    def __getitem__(self, row: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([row]) if part is not None))

    def __getitems__(self, rows: list[int]) -> Batch:
        images = torch.stack([decode(self.paths[row], self.size, self.channels) for row in rows])
        index = torch.tensor([row if row != PADDING else PADDING for row in rows])
        return Batch(images, self.targets[index], index)

    def whole(self, rows: list[int]) -> Batch:
        """Images that nothing is cut off from, as arrays ``(h, w, channels)``, for augmentations."""
        arrays = [np.asarray(_open(self.paths[row], self._shorter, self.channels)) for row in rows]
        images: Any = [array.reshape(*array.shape[:2], self.channels) for array in arrays]
        return Batch(images, self.targets[rows], torch.tensor(rows))

    def fit(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Cuts the centre ``(size, size, channels)`` out of an augmented image; enlarges it first if it is smaller."""
        from PIL import Image

        height, width = image.shape[:2]
        if (height, width) == (self.size, self.size):
            return image
        if min(height, width) < self.size:
            factor = self.size / min(height, width)
            height, width = max(round(height * factor), self.size), max(round(width * factor), self.size)
            resized = Image.fromarray(image.squeeze()).resize((width, height), Image.Resampling.BILINEAR)
            image = np.asarray(resized).reshape(height, width, self.channels)
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return image[top : top + self.size, left : left + self.size]

    @property
    def _shorter(self) -> int:
        return round(self.size / _CENTRE)


def decode(path: Path, size: int, channels: int) -> Tensor:
    """Reads an image and cuts its centre out.

    Args:
        path: JPEG, PNG, WebP, BMP or TIFF; a rotation noted in its EXIF data is applied.
        size: Side of the result in pixels: 0.875 of the resized image's shorter side.
        channels: 3 for colour, 1 for grey.

    Returns:
        uint8 ``(channels, size, size)``.

    Raises:
        DataError: If the file cannot be decoded.
    """
    from PIL import Image

    shorter = round(size / _CENTRE)
    image = _read(path, shorter, channels)
    side = min(image.size) * size / shorter
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    pixels = torch.from_numpy(np.array(square))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


def _open(path: Path, shorter: int, channels: int) -> Any:
    """A whole image of Pillow, whose shorter side is resized to ``shorter`` pixels."""
    from PIL import Image

    image = _read(path, shorter, channels)
    factor = shorter / min(image.size)
    width, height = (max(round(side * factor), shorter) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _read(path: Path, shorter: int, channels: int) -> Any:
    """An image of Pillow, upright, in grey or in colour."""
    from PIL import Image, ImageOps

    mode = "RGB" if channels == 3 else "L"
    try:
        with Image.open(path) as file:
            file.draft(mode, (shorter, shorter))  # large JPEGs are decoded at a fraction
            return _eight_bits(ImageOps.exif_transpose(file)).convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded: {str(error).splitlines()[0]}; repair or remove it") from error


def _eight_bits(image: Any) -> Any:
    """The image with 8 bits a channel; Pillow would cut larger values off, and warns of transparent palettes."""
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGBA") if "transparency" in image.info else image


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _has_signature(path: Path) -> bool:
    head = _head(path)
    return head.startswith(_SIGNATURES) and (not head.startswith(b"RIFF") or head[8:] == b"WEBP")


def _class_folders(folder: Path) -> list[str]:
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(names) < 2:
        found = ", ".join(map(repr, names)) or "none"
        raise DataError(f"root: {str(folder)!r} needs a folder for each of at least 2 classes; found {found}")
    return names


def _per_channel(name: str, values: Sequence[float], channels: int) -> list[float]:
    if len(values) == 3 and channels == 1:
        values = [sum(values) / 3]
    if len(values) != channels:
        raise ConfigError(f"{name}: needs one number a channel ({channels}), got {list(values)}")
    return [float(v) for v in values]
