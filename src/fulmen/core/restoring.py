"""Whether a model is being built to receive the weights of a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_restoring: ContextVar[bool] = ContextVar("fulmen_restoring", default=False)


@contextmanager
def restoring() -> Iterator[None]:
    """Inside, networks need not fetch pretrained weights: a checkpoint is about to replace them."""
    token = _restoring.set(True)
    try:
        yield
    finally:
        _restoring.reset(token)


def is_restoring() -> bool:
    """Whether the caller runs inside :func:`restoring`."""
    return _restoring.get()
