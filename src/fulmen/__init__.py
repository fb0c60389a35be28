"""Fulmen: deep learning that people train from one config and extend with ``pip install``.

Every public name of the rooms below is found here too (``from fulmen import MLPModule``), and is imported
only when it is asked for: ``import fulmen`` alone loads neither torch nor Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fulmen.core.version import __version__ as __version__

if TYPE_CHECKING:
    from fulmen.core.batch import *  # noqa: F403
    from fulmen.core.spec import *  # noqa: F403
    from fulmen.data import *  # noqa: F403
    from fulmen.modules import *  # noqa: F403
    from fulmen.networks import *  # noqa: F403
    from fulmen.nn import *  # noqa: F403
    from fulmen.tasks import *  # noqa: F403
    from fulmen.workflows import *  # noqa: F403

_ROOMS = ("core.batch", "core.spec", "nn", "networks", "data", "tasks", "modules", "workflows")


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for room in _ROOMS:
            module = import_module(f"fulmen.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'fulmen' has no attribute {name!r}")
