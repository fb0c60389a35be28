"""Images in class folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from fulmen.cli.init.entries import Entry
from fulmen.cli.init.folders import IMAGES, Folder
from fulmen.cli.init.found import Found, name_of, section, shown
from fulmen.cli.init.options import Options
from fulmen.cli.init.target import Target
from fulmen.cli.init.training import balance, length, metrics, shares
from fulmen.core.errors import DataError
from fulmen.core.registry import registry

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
_LOOKED_AT = 64
_FEW = 5000
"""Of fewer images than these, a narrow network learns as well, and four times as fast."""
_LARGE = 96
"""Side in pixels from which on images are photos, that can be flipped and cut."""
_SIZE = 128
"""Side of the images that a network of its own sees: large enough for photos, and quick without a GPU."""
_MEMORY = 2048
"""So many megabytes of decoded images may be kept in memory without asking."""
_BACKBONE = "mobilenetv2_100"
_BACKBONE_SIZE = 224


@dataclass(frozen=True)
class Pictures:
    """What some of the images look like.

    Attributes:
        side: Median of the shorter sides, in pixels.
        grey: Whether all are grey.
        broken: Which could not be opened.
        says: In words.
    """

    side: int
    grey: bool
    broken: Sequence[Path]
    says: str


def look_at(paths: Iterable[Path]) -> Pictures:
    """Opens some images; nothing is decoded.

    Raises:
        DataError: If none can be opened.
    """
    from PIL import Image

    sizes, modes, broken = [], set(), []
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
                modes.add(image.mode)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            broken.append(path)
    if not sizes:
        raise DataError(f"none of {len(broken)} images can be opened, such as {broken[0]}" if broken else "no image")
    low, high = min(sizes), max(sizes)
    size = f"{low[0]} x {low[1]}" + (f" to {high[0]} x {high[1]}" if low != high else "")
    grey = modes <= {"1", "L", "I", "I;16", "LA", "F"}
    return Pictures(round(median(map(min, sizes))), grey, broken, f"{size} pixels, {'grey' if grey else 'colour'}")


def split_folders(folder: Folder) -> dict[str, Folder]:
    """The folders of the splits, if there are any."""
    return {split: folder.names[name] for split, names in SPLITS.items() for name in names if name in folder.names}


def class_folders(folder: Folder, endings: frozenset[str]) -> dict[str, int]:
    """Files of each class in class folders; empty where they are none."""
    counts = {name: inner.count(endings) for name, inner in folder.folders.items()}
    return counts if len(counts) >= 2 and min(counts.values()) > 0 else {}


def find_image_classes(folder: Folder, options: Options) -> Found | None:
    """Images in class folders, with or without folders for the splits."""
    splits = split_folders(folder)
    train = splits.get("train", folder)
    counts = class_folders(train, IMAGES)
    if not counts or ("train" not in splits and splits):
        return None
    flat = [name for name, inner in splits.items() if name != "train" and not inner.folders]
    root, predict = folder, options.predict
    if flat:  # images to predict, as in competitions: they have no classes
        root, predict = train, predict or splits[flat[0]].path
        splits = {}
    target = _target(counts)
    pictures = look_at(_spread(train, counts))
    broken = f"; {len(pictures.broken)} cannot be opened, such as {pictures.broken[0]}" if pictures.broken else ""
    says = [
        f"images in {len(counts)} class folders: {_counted(counts)}{named_splits(splits)}",
        f"  {pictures.says}{broken}",
        *target.warnings,
    ]
    if flat:
        says.append(f"  {predict} has no class folders: its images are there to predict")
    side = image_size(pictures, options)
    arguments = [
        Entry("root", shown(root.path), _layout(splits, list(counts))),
        Entry("predict_root", shown(predict), "images without classes, for `lightning predict`") if predict else None,
        *picture_entries(pictures, side, sum(counts.values())),
        Entry("batch_size", batch_size(sum(counts.values()))),
        *shares(sum(counts.values()), set(splits), "images"),
        balance(target),
    ]
    return Found(
        name_of(folder.path),
        says,
        image_model(sum(counts.values()), side, target, options),
        section("data", "ImageFolderData", arguments),
        image_training(sum(counts.values()), target, options),
        "images in class folders",
        frozenset({"predict", "weights", "backbone"}),
    )


def named_splits(splits: dict[str, Folder]) -> str:
    """Which folders are splits, in words."""
    return f"; {', '.join(f'{folder.path.name}/' for folder in splits.values())} are splits" if splits else ""


def _target(counts: dict[str, int]) -> Target:
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Target("", "binary" if len(counts) == 2 else "multiclass", ordered)


def _counted(counts: dict[str, int]) -> str:
    shown_ = [f"{name} {count:,}" for name, count in list(counts.items())[:6]]
    return ", ".join(shown_) + (f", and {len(counts) - 6} more" if len(counts) > 6 else "")


def _layout(splits: dict[str, Folder], classes: Sequence[str]) -> str:
    """Where the images of the first classes lie."""
    names = [folder.path.name for folder in splits.values()]
    places = [f"{names[0]}/{name}" for name in classes[:2]] if names else list(classes[:2])
    return ", ".join([*places, *(f"{name}/{classes[0]}" for name in names[1:])]) + ", ..."


def _spread(folder: Folder, counts: dict[str, int]) -> list[Path]:
    """Some images of each class."""
    each = max(_LOOKED_AT // len(counts), 1)
    return [path for name in counts for path in islice(folder.folders[name].files(IMAGES), each)][: 4 * _LOOKED_AT]


def image_size(pictures: Pictures, options: Options) -> int:
    """The side that the network sees."""
    if options.backbone or options.weights:
        from fulmen.networks import data_defaults  # timm takes seconds to import

        size: int = data_defaults(options.backbone or _BACKBONE).get("image_size", _BACKBONE_SIZE)
        return size
    return min(max(-(-pictures.side // 8) * 8, 16), _SIZE)


def picture_entries(pictures: Pictures, side: int, samples: int) -> list[Entry]:
    """Size, channels, cache and augmentation.

    Args:
        pictures: What some of the images look like.
        side: Side that the network sees, in pixels.
        samples: How many images there are.
    """
    why = "pixels" if side >= pictures.side else f"pixels, of about {pictures.side}"
    if side == _SIZE < pictures.side:
        why += f"; {_BACKBONE_SIZE} sees more and takes 3 times as long"
    found = [Entry("image_size", side, why)]
    if pictures.grey:
        found.append(Entry("channels", 1, "grey"))
    specs = ["resized_crop", "flip"] if pictures.side >= _LARGE else ["translate"]
    known = set(specs) <= set(registry().names("image_augmentations"))
    comment = (
        "training images only; leave flip out where left and right differ"
        if "flip" in specs
        else "training images only"
    )
    needs = "" if known else "; needs pip install fulmen-albumentations"
    megabytes = samples * 1.4 * (side / 0.875) ** 2 * (1 if pictures.grey else 3) / 2**20
    if megabytes < _MEMORY:
        found.append(
            Entry("cache", "ram", f"images are decoded once ({max(megabytes, 1):,.0f} MB); disk: for all runs")
        )
    return [*found, Entry("augment", specs, comment + needs, active=known)]


def batch_size(samples: int) -> int:
    """A batch size for so many images."""
    return 16 if samples < 200 else 32 if samples < 20_000 else 64


def image_model(samples: int, side: int, target: Target, options: Options) -> Entry:
    """A network of its own, with a pretrained backbone beside it; or the backbone, if it is asked for."""
    backbone = options.backbone or _BACKBONE
    if options.backbone or options.weights:
        source = (
            Entry("weights", shown(options.weights))
            if options.weights
            else Entry("pretrained", True, "fetched from the hub")
        )
        return section(
            "model",
            "TransferModule",
            [
                Entry("backbone", backbone, "any model of timm"),
                source,
                Entry("freeze", "all", "only the head is trained; none, or a number of stages"),
                Entry("optimizer", {"name": "adam", "lr": 1e-3}),
                metrics(target),
            ],
        )
    stages = 5 if side >= 96 else 4 if side >= 48 else 3
    first = 16 if samples < _FEW else 32
    channels = [min(first * 2**i, 256) for i in range(min(stages, side.bit_length() - 1))]
    other = {"backbone": _BACKBONE, "pretrained": True, "freeze": "all", "optimizer": {"name": "adam", "lr": 1e-3}}
    arguments = [
        Entry("channels", channels, "one stage each, which halves the size"),
        Entry("dropout", 0.3, "against learning by heart"),
        Entry("optimizer", {"name": "adamw", "lr": 2e-3, "weight_decay": 0.05}),
        Entry("schedule", "one_cycle", "the rate rises, then falls to nothing"),
        metrics(target),
    ]
    found = section("model", "CNNModule", arguments, "a network of its own, which starts from nothing")
    if side >= 48:
        found.value.append(
            Entry(
                "class_path",
                "TransferModule",
                f"instead: a pretrained backbone, better with few images (and image_size: {_BACKBONE_SIZE})",
                active=False,
            )
        )
        found.value.append(Entry("init_args", other, active=False))
    return found


def image_training(samples: int, target: Target, options: Options) -> Sequence[Entry]:
    """How long is trained."""
    if options.backbone or options.weights:
        return length(target, 10, 5)
    epochs = 40 if samples < 2000 else 20 if samples < 20_000 else 10
    return length(target, epochs, max(epochs // 2, 5))
