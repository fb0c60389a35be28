"""Every text augmentation passes Fulmen's kit for plugins."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from fulmen.testing import check_text_augmentation

SPECIAL: dict[str, Any] = {"tfidf": {"options": {"corpus": str(Path(__file__).with_name("corpus.txt"))}}}
NAMES = [
    e.name
    for e in entry_points(group="fulmen.text_augmentations")
    if e.dist is not None and e.dist.name == "fulmen-nlpaug"
]

globals().update({f"test_{name}": check_text_augmentation(name, **SPECIAL.get(name, {})) for name in NAMES})


@pytest.fixture(autouse=True, scope="module")
def _wordnet(wordnet: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FULMEN_WORDNET", str(wordnet))
        yield


def test_all_are_checked() -> None:
    assert len(NAMES) == 11
