"""Errors that a person is meant to read: what was given, what is allowed, what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches


class FulmenError(Exception):
    """Base of every error that the command line shows as a message instead of a traceback.

    Attributes:
        place: Where in the config it stands (``model.init_args.optimizer.lr``), as far as that is known; shown
            before the message.
    """

    place: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {super().__str__()}" if self.place else super().__str__()


class ConfigError(FulmenError, ValueError):
    """A value in a config, on the command line or in a constructor that cannot work."""


class SpecError(ConfigError):
    """A spec (name, or mapping with a name and options) that does not describe a component."""


class PluginError(FulmenError):
    """A plugin that is missing, broken, incompatible, denied or ambiguous."""


class DataError(FulmenError, ValueError):
    """Data that cannot be used as it is."""


class CheckpointError(FulmenError):
    """A checkpoint that is missing or does not belong to this config."""


_FROM_A_WORKER = f"{__name__}."
"""How a line of a traceback begins that shows one of the errors above."""


def message(error: FulmenError) -> str:
    r"""What an error says; without the traceback that torch puts around one that was raised in a worker process.

    >>> print(message(DataError("Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent "
    ...                         "call last):\n  File ...\nfulmen.core.errors.DataError: cat.jpg is cut off")))
    cat.jpg is cut off
    """
    text = str(error)
    start = text.rfind(f"\n{_FROM_A_WORKER}")
    return text[start:].partition(": ")[2].rstrip() if text.startswith("Caught ") and start >= 0 else text


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Returns the allowed name that is most like ``name``, if any is.

    >>> nearest("rleu", ["relu", "gelu", "tanh"])
    'relu'
    >>> nearest("xyz", ["relu"]) is None
    True
    """
    names = sorted(allowed)
    by_lower = {n.lower(): n for n in names}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def unknown(what: str, name: str, allowed: Iterable[str], of: str = "") -> str:
    """Says that ``name`` is not known, what is nearest, and what is allowed.

    Args:
        what: What it should have been the name of.
        name: What was given.
        allowed: All names.
        of: Whose names they are, if that is to be said.

    >>> print(unknown("activation", "rleu", ["relu", "gelu"]))
    unknown activation 'rleu'; did you mean 'relu'? Allowed: gelu, relu
    """
    names = sorted(allowed)
    close = nearest(name, names)
    owner = f" of {of}" if of else ""
    hint = f"; did you mean {close!r}?" if close else "."
    return f"unknown {what} {name!r}{owner}{hint} Allowed: {', '.join(names) or 'none'}"
