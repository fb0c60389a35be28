"""Whether a model is being built to receive the weights of a checkpoint, and what that checkpoint knows of its data."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_restoring: ContextVar[Mapping[str, Any] | None] = ContextVar("fulmen_restoring", default=None)


@contextmanager
def restoring(checkpoint: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Inside, networks need not fetch pretrained weights, and data need not learn: a checkpoint has what they need.

    Args:
        checkpoint: Its contents; ``None`` where only a model is restored.
    """
    token = _restoring.set(checkpoint or {})
    try:
        yield
    finally:
        _restoring.reset(token)


def is_restoring() -> bool:
    """Whether the caller runs inside :func:`restoring`."""
    return _restoring.get() is not None


def restored_state(cls: type) -> dict[str, Any] | None:
    """What the checkpoint that is being restored holds of a datamodule; ``None`` if there is nothing.

    Args:
        cls: The datamodule's class.
    """
    return (_restoring.get() or {}).get(cls.__qualname__)  # where Lightning puts a datamodule's state
