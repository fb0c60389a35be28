"""Every image augmentation passes Fulmen's kit for plugins."""

from importlib.metadata import entry_points
from typing import Any

from fulmen.testing import check_image_augmentation

SPECIAL: dict[str, Any] = {
    "blur": {
        "options": {"sigma": [0.0, 0.1]}
    },  # the default is for photos: less than a pixel of the kit's small images
    "one_of": {"options": {"transforms": ["flip", "rotate"]}},
    "some_of": {"options": {"transforms": ["flip", "rotate", "noise"]}},
}
NAMES = [
    e.name
    for e in entry_points(group="fulmen.image_augmentations")
    if e.dist is not None and e.dist.name == "fulmen-albumentations"
]

globals().update({f"test_{name}": check_image_augmentation(name, **SPECIAL.get(name, {})) for name in NAMES})


def test_all_are_checked() -> None:
    assert len(NAMES) == 20
