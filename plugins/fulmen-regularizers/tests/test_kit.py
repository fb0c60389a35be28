"""Every regularizer passes Fulmen's kit for plugins."""

from importlib.metadata import entry_points
from typing import Any

from fulmen.testing import check_regularizer

WEIGHT = {"options": {"weight": 1e-2}}
SPECIAL: dict[str, Any] = {
    "max_norm": {"options": {"limit": 0.5}},
    "manifold_mixup": {"options": {"alpha": 1.0}},
    "sam": {"options": {"rho": 0.05}},
    "kl_sparsity": {**WEIGHT, "activation": "sigmoid"},  # activations in [0, 1]
}
NAMES = [
    e.name
    for e in entry_points(group="fulmen.regularizers")
    if e.dist is not None and e.dist.name == "fulmen-regularizers"
]

globals().update({f"test_{name}": check_regularizer(name, **SPECIAL.get(name, WEIGHT)) for name in NAMES})


def test_all_are_checked() -> None:
    assert len(NAMES) == 15
