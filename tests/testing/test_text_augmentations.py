"""The checks of text augmentations: a good one passes, and each fails on one that is broken in exactly this way."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from fulmen.core.errors import ConfigError
from fulmen.testing import check_text_augmentation
from fulmen.testing.kit import run_check
from fulmen.testing.text_augmentations import CHECKS
from fulmen.testing.text_subject import TextAugmentation


class Base:
    """An augmentation without nlpaug."""

    calls = 0

    def set_random_state(self, numpy_generator: Any, python_random: Random) -> None:
        self.python = python_random

    def augment(self, text: str) -> Any:
        self.calls += 1
        return self.change(text)

    def change(self, text: str) -> Any:
        return text.swapcase() if self.python.random() < 0.5 else text


class Shout(Base):
    """Writes some texts in capitals.

    Args:
        p: Probability of each text, in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ConfigError(f"p: {p} is out of range; allowed: 0 <= p <= 1")
        self.p = p

    def change(self, text: str) -> list[str]:
        return [text.upper() if self.python.random() < self.p else text]


_NO_PLACE = "a class of a test has no entry point, and is no Augmenter of nlpaug"
test_shout = check_text_augmentation(
    Shout, expected_failures=dict.fromkeys(["found_by_name", "unknown_option_refused", "yaml_round_trip"], _NO_PLACE)
)


def broken(change: Callable[[Any, str], Any]) -> type[Base]:
    """A class of what it does to a text."""
    return type("Broken", (Base,), {"change": change})


class Ignoring(Base):
    def __init__(self, p: float = 0.5) -> None:
        pass


class Numbered(Base):
    numbers = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.numbers)

    def change(self, text: str) -> str:
        return f"{text} {self.number}"


class Lambda(Base):
    def __init__(self) -> None:
        self.function = lambda: 1


def rotated(text: str, by: int) -> str:
    words = text.split(" ")
    return " ".join(words[by % len(words) :] + words[: by % len(words)])


one = Base()
upper = broken(lambda self, text: text.upper())

CASES: list[tuple[str, Any, str]] = [
    ("makes_augmenter", lambda: 3, "without augment"),
    ("makes_augmenter", lambda: one, "the same object twice"),
    ("gives_text", broken(lambda self, text: 3), "gave int, not text"),
    ("gives_text", broken(lambda self, text: " "), "becomes empty"),
    ("short_texts", broken(lambda self, text: text.split()[1]), "IndexError"),
    ("short_texts", broken(lambda self, text: "more" + text), "'' becomes 'more'"),
    ("p_zero", Ignoring, "p=0 makes"),
    ("p_out_of_range", Ignoring, "takes p=1.5"),
    ("reproducible", broken(lambda self, text: text + os.urandom(8).hex()), "repeats differently"),
    ("reproducible", Numbered, "a new one"),
    ("draws_anew", upper, "64 samples of one text all become"),
    ("samples_independent", broken(lambda self, text: rotated(text, self.calls)), "in its batch"),
    ("whitespace_kept", broken(lambda self, text: " ".join(text.split())), "keep the white space"),
    ("words_whole", broken(lambda self, text: text.replace(".", " .")), "never survives"),
    ("no_global_state", broken(lambda self, text: text + str(random.seed(1))), "Python's random numbers"),
    ("pickle", Lambda, "cannot be pickled"),
]


@pytest.mark.parametrize(("name", "component", "message"), CASES)
def test_a_broken_augmentation_fails(fails: Callable[..., None], name: str, component: Any, message: str) -> None:
    fails(CHECKS[name], TextAugmentation("text augmentation", component), message)


def test_every_check_has_a_broken_augmentation(covers: Callable[..., None]) -> None:
    covers("text augmentation", CASES)


@pytest.mark.parametrize("name", ["p_zero", "p_out_of_range"])
def test_what_it_does_not_have_is_not_checked(name: str) -> None:
    assert run_check(CHECKS[name], TextAugmentation("text augmentation", Base))


def test_a_deterministic_one_need_not_draw() -> None:
    assert run_check(CHECKS["draws_anew"], TextAugmentation("text augmentation", upper, {}, True))
