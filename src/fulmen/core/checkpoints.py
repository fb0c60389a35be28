"""Reading checkpoints without running what may be hidden in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fulmen.core.errors import CheckpointError

_NAMED = re.compile(r"(?:GLOBAL|call) ([\w.]+)")


def load_safely(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, read with torch's safe loading, which takes numbers, texts, tensors and nothing else.

    Args:
        path: The file; its tensors stay there until they are used.

    Raises:
        CheckpointError: If it is no checkpoint, or holds objects, which could run any code when they are made.
    """
    import pickle
    import zipfile

    import torch

    if path.is_file() and not zipfile.is_zipfile(path):  # what torch.save writes is a zip file
        raise CheckpointError(f"{path} is no checkpoint that can be loaded safely, or it was cut off")
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        named = _NAMED.search(str(error))
        what = f" ({named[1]})" if named else ""
        raise CheckpointError(
            f"{path} cannot be loaded safely: it holds an object{what}, not only numbers and texts, and objects can "
            "run any code when they are loaded. No checkpoint of fulmen has any; use it only if you know who made it"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is no checkpoint that can be loaded safely: {first}") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(loaded).__name__}")
    return loaded
