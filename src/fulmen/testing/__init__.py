"""Floor 5: the kit for plugin authors: one named list of checks per kind, run by pytest.

In a test file of a plugin::

    from fulmen.testing import check_activation
    from fulmen_bump import Bump

    test_bump = check_activation(Bump, options={"width": 0.5})

``pytest -v`` shows every check by its name (``test_bump[gradients_match]``). A check that is known to fail is named
with a reason (``expected_failures={"onnx": "the exporter has no erfinv"}``), and must then fail. At the end the
kit prints how many checks ran, and the run fails if they were fewer than the kit lists.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fulmen.testing.listed import LISTED

if TYPE_CHECKING:
    from fulmen.testing.activations import check_activation
    from fulmen.testing.datamodules import check_datamodule
    from fulmen.testing.image_augmentations import check_image_augmentation
    from fulmen.testing.modules import check_module
    from fulmen.testing.regularizers import check_regularizer
    from fulmen.testing.text_augmentations import check_text_augmentation

__all__ = [
    "LISTED",
    "check_activation",
    "check_datamodule",
    "check_image_augmentation",
    "check_module",
    "check_regularizer",
    "check_text_augmentation",
]


def __getattr__(name: str) -> Any:
    """Imports a kind's checks when they are asked for: pytest loads this package in every run, as a plugin."""
    if name in __all__:
        return getattr(import_module(f"fulmen.testing.{name.removeprefix('check_')}s"), name)
    raise AttributeError(f"module 'fulmen.testing' has no attribute {name!r}")
