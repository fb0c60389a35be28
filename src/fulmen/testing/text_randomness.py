"""Checks of where a text augmentation's random numbers come from."""

from __future__ import annotations

import pickle as pickles

from fulmen.testing.kit import CheckError, require
from fulmen.testing.state import changes, snapshot
from fulmen.testing.text_subject import SENTENCES, TextAugmentation

_DRAW = "draw from the generators of set_random_state alone"


def reproducible(augmentation: TextAugmentation) -> None:
    """The same seed, epoch and sample give the same text, whatever came before."""
    pipeline = augmentation.pipeline()
    first = augmentation.augmented(SENTENCES, pipeline, epoch=3)
    require(augmentation.augmented(SENTENCES, pipeline, epoch=3) == first, f"it repeats differently; {_DRAW}")
    require(augmentation.augmented(SENTENCES, epoch=3) == first, f"a new one with the same seed differs; {_DRAW}")


def draws_anew(augmentation: TextAugmentation) -> str | None:
    """Other samples, epochs and seeds give other texts: a stream that never moves is no augmentation."""
    if augmentation.deterministic:
        return "it draws nothing"
    texts = [SENTENCES[1]] * 64
    out = augmentation.augmented(texts)
    require(len(set(out)) > 1, f"64 samples of one text all become {out[0]!r}; {_DRAW}")
    require(augmentation.augmented(texts, epoch=1) != out, f"two epochs are the same; {_DRAW}")
    require(augmentation.augmented(texts, seed=1) != out, f"two seeds give the same texts; {_DRAW}")
    return None


def samples_independent(augmentation: TextAugmentation) -> None:
    """A text does not depend on the others of its batch, nor on their order."""
    texts = SENTENCES * 2
    pipeline = augmentation.pipeline()
    together = augmentation.augmented(texts, pipeline)
    for i in reversed(range(len(texts))):
        (alone,) = augmentation.augmented([texts[i]], pipeline, first=i)
        require(alone == together[i], f"sample {i} alone becomes {alone!r}, in its batch {together[i]!r}; {_DRAW}")


def no_global_state(augmentation: TextAugmentation) -> None:
    """Making and using it leaves global random state and settings as they are."""
    before = snapshot()
    augmentation.augmented(SENTENCES)
    changed = changes(before)
    require(not changed, f"it changes {', '.join(changed)}; {_DRAW}")


def pickle(augmentation: TextAugmentation) -> None:
    """It can be pickled, as worker processes that are spawned need it, and then gives the same texts."""
    pipeline = augmentation.pipeline()
    expected = augmentation.augmented(SENTENCES, pipeline)
    try:
        twin = pickles.loads(pickles.dumps(pipeline))
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda, and define it in a module") from error
    require(augmentation.augmented(SENTENCES, twin) == expected, f"unpickled, it gives other texts; {_DRAW}")
