"""Checks of the probability of an augmentation, of images or of texts."""

from __future__ import annotations

from fulmen.core.errors import FulmenError
from fulmen.testing.kit import CheckError, Subject, require


def p_out_of_range(subject: Subject) -> str | None:
    """A probability above 1 or below 0 is an error when it is made."""
    if "p" not in subject.parameters:
        return "it has no `p`"
    for p in (1.5, -0.1):
        try:
            subject.make(p=p)
        except (FulmenError, ValueError) as error:
            require("p" in str(error), f"p={p} ends in an error that does not name p: {error}")
        else:
            raise CheckError(f"it takes p={p}; raise ConfigError('p: {p} is out of range; allowed: 0 <= p <= 1')")
    return None
