"""Every activation passes Fulmen's kit for plugins."""

from importlib.metadata import entry_points
from typing import Any

from fulmen.testing import check_activation

HALVES: dict[str, Any] = {"divides": 2}
SPECIAL = dict.fromkeys(["glu", "reglu", "geglu", "swiglu", "bilinear", "maxout"], HALVES)
NAMES = [
    e.name
    for e in entry_points(group="fulmen.activations")
    if e.dist is not None and e.dist.name == "fulmen-activations"
]

globals().update({f"test_{name}": check_activation(name, **SPECIAL.get(name, {})) for name in NAMES})


def test_all_are_checked() -> None:
    assert len(NAMES) == 26
