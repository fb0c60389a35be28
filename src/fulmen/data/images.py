"""Images in class folders."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fulmen.core.errors import DataError, unknown
from fulmen.data.image_data import ImageData, Listed, accepted, existing_folder, path_column
from fulmen.data.image_paths import ENDINGS, Paths, scan

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


class ImageFolderData(ImageData):
    r"""Images in one folder a class: ``root/train/cat/1.jpg`` with folders for the splits, or ``root/cat/1.jpg``.

    Folders for splits are ``train``, ``val`` (or ``valid``, ``validation``, ``dev``) and ``test``. Without ``val``,
    validation is split from ``train``; without any of them, validation and test are split from all images,
    by file name, so that images added later move no old one. JPEG, PNG, WebP, BMP and TIFF are read, at any depth;
    hidden files are passed over. ``val`` and ``test`` may lack classes.

    Columns of ``split_by`` are ``folder``, the first folder below the class folder (``cat/tom/1.jpg``: all of tom
    stays on one side), and ``re:PATTERN``, what the first group of a regular expression finds in the path from
    ``root``: ``split_by: {group: "re:patient_(\d+)"}``.

    Args:
        root: The folder.
        **kwargs: Arguments of :class:`~fulmen.data.image_data.ImageData`.

    Raises:
        DataError: If there is no folder, no class or no image.
    """

    def __init__(self, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root)
        self._folders: dict[str, str] | None = {}
        if self.learned and self.predict_root is not None and not self.root.is_dir():
            self._folders = None  # a trained model needs no more than the images to predict
        else:
            self._folders = _split_folders(existing_folder("root", root))
        if not self.take_over():
            folder = self.root / (self._folders or {}).get("train", "")
            names = _class_folders(folder)
            if len(names) < 2:
                raise DataError(_too_few(folder, names))
            self.set_classes("binary" if len(names) == 2 else "multiclass", names)

    def list_samples(self, bad: list[str]) -> Listed | None:
        """The images of all splits, folder by folder."""
        if self._folders is None:
            return None
        labels, sizes = array("q"), {}

        def names() -> Iterator[str]:
            for split, folder in (self._folders or {"": ""}).items():
                before = len(labels)
                yield from self._list_folder(folder, labels, bad)
                sizes[split] = len(labels) - before

        paths = Paths(self.root, names())
        given = np.repeat(np.array(list(sizes), "<U5"), list(sizes.values()))
        depth = 2 if self._folders else 1
        targets = torch.from_numpy(np.array(labels, np.int64))
        return Listed(paths, targets, given, lambda name: path_column(paths, name, depth))

    def _list_folder(self, folder: str, labels: array[int], bad: list[str]) -> Iterator[str]:
        """Names of the images of a split's folder; their classes are added to the labels."""
        numbers = {name: i for i, name in enumerate(self.class_names or [])}
        names = _class_folders(self.root / folder)
        if not names:
            raise DataError(f"{str(self.root / folder)!r} holds no class folder; fill it, or remove it")
        for name in names:
            if name not in numbers:
                raise DataError(
                    f"{self.root / folder}: {unknown('class', name, numbers)} (the folders of the training split)"
                )
            place = f"{folder}/{name}" if folder else name
            before = len(labels)
            for path in accepted(self.root, scan(self.root, place), bad):
                labels.append(numbers[name])
                yield path
            if len(labels) == before:
                raise DataError(f"the class folder {str(self.root / place)!r} holds no image ({', '.join(ENDINGS)})")


def _split_folders(root: Path) -> dict[str, str]:
    """Name of each split's folder; upper case counts as lower case."""
    present = sorted(p.name for p in root.iterdir() if p.is_dir())
    found = {split: [n for n in present if n.lower() in names] for split, names in _SPLIT_FOLDERS.items()}
    for split, names in found.items():
        if len(names) > 1:
            raise DataError(f"root: {str(root)!r} has {' and '.join(names)}; keep one folder for {split}")
    folders = {split: names[0] for split, names in found.items() if names}
    if folders and "train" not in folders:
        raise DataError(f"root: {str(root)!r} has {', '.join(sorted(folders.values()))} but no folder 'train'")
    return folders


def _class_folders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _too_few(folder: Path, names: list[str]) -> str:
    found = ", ".join(map(repr, names)) or "none"
    hint = ""
    if len(names) == 1 and len(_class_folders(folder / names[0])) > 1:
        hint = f"; did you mean {str(folder / names[0])!r}?"
    elif not names and any(p.suffix.lower() in ENDINGS for p in islice(folder.iterdir(), 1000)):
        hint = "; for images beside a table that names their labels, use ImageTableData"
    return f"root: {str(folder)!r} needs a folder for each of at least 2 classes; found {found}{hint}"
