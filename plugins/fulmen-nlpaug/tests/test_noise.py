"""Tables of errors: nlpaug's own, and whole."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from nlpaug.augmenter.char import KeyboardAug, OcrAug

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen_nlpaug.noise import Keyboard, Ocr, Spelling


@pytest.mark.parametrize("lang", ["de", "en", "es", "fr", "he", "it", "nl", "pl", "th", "tr", "uk"])
def test_keyboards_are_nlpaugs(lang: str) -> None:
    ours, theirs = Keyboard(lang=lang), KeyboardAug(lang=lang)
    table = {char: others for char, others in theirs.model.model.items() if others}
    assert ours.table == {char: [other.strip() for other in others] for char, others in table.items()}
    torn = {char for char, others in table.items() if ours.table[char] != others}
    assert torn == ({"u", "U"} if lang == "en" else set())  # a neighbour with a blank in front of it


def test_characters_read_wrongly_are_nlpaugs() -> None:
    assert Ocr().table == OcrAug().model.model
    assert all(char not in others for char, others in Ocr().table.items())


@pytest.mark.parametrize(
    ("option", "check"),
    [
        ("include_numeric", str.isdigit),
        ("include_upper_case", str.isupper),
        ("include_special_char", lambda c: not c.isalnum()),
    ],
)
def test_keys_can_be_left_out(option: str, check: object) -> None:
    assert callable(check)
    assert any(check(c) for others in Keyboard().table.values() for c in others)
    assert not any(check(c) for others in Keyboard(**{option: False}).table.values() for c in others)


def test_every_error_is_one() -> None:
    table = Spelling().table
    assert len(table) > 9_000
    assert "recieve" in table["receive"]
    for word, others in table.items():
        assert word not in others
        assert others == sorted(set(others))
        assert all(others)
    random_words = random.Random(0).sample(sorted(table), 50)
    for word in random_words:
        assert build("text_augmentations", {"name": "spelling", "p": 1.0}).augment(word) != [word]


def test_own_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "errors.txt"
    path.write_text("film flim\ngood goood\n", encoding="utf-8")
    augmenter = build("text_augmentations", {"name": "spelling", "p": 1.0, "dict_path": str(path)})
    assert augmenter.augment("Film? GOOD, receive") == ["Flim? GOOOD, receive"]
    path = tmp_path / "empty.txt"
    path.write_text("film\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^dict_path: .* has no misspelling; write one word a line"):
        Spelling(dict_path=path)
    with pytest.raises(ConfigError, match=r"^dict_path: .* cannot be read"):
        Spelling(dict_path=tmp_path / "absent")


def test_short_words_are_left_alone() -> None:
    assert Keyboard(p=1.0, min_char=4).augment("the old cat") == ["the old cat"]
    assert build("text_augmentations", {"name": "split", "p": 1.0, "min_char": 4}).augment("the old cat") == [
        "the old cat"
    ]


def test_words_are_torn_at_every_place_but_not_beside_signs() -> None:
    augmenter = build("text_augmentations", {"name": "split", "p": 1.0})
    assert set(augmenter.augment("don't", n=100)) == {"d on't", "do n't"}
    assert set(augmenter.augment("cafe\u0301s", n=100)) == {"c afe\u0301s", "ca fe\u0301s", "caf e\u0301s"}


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"name": "keyboard", "lang": "xx"}, "lang: unknown keyboard 'xx'"),
        ({"name": "keyboard", "char_p": 2}, "char_p: 2"),
        ({"name": "ocr", "min_char": 0}, "min_char: 0"),
        ({"name": "split", "min_char": 1}, "min_char: 1"),
    ],
)
def test_mistakes(spec: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigError, match=f"^{place}"):
        build("text_augmentations", spec)


@pytest.mark.parametrize("lang", ["de", "en", "es", "fr", "he", "it", "nl", "pl", "th", "tr", "uk"])
def test_every_key_is_one_character(lang: str) -> None:
    table = build("text_augmentations", {"name": "keyboard", "lang": lang}).table
    assert len(table) > 10
    assert all(len(other) == 1 and not other.isspace() for others in table.values() for other in others)
