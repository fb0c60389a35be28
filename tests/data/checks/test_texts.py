"""Texts with defects: each is found, where it is, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.checks.conftest import by_check

from fulmen.data import TextData
from fulmen.data.checks import texts as checks
from fulmen.data.findings import Finding

REAL = Path(__file__).parents[4] / "shared" / "data"
WORDS = [
    "ship",
    "river",
    "stone",
    "cloud",
    "garden",
    "winter",
    "letter",
    "music",
    "silver",
    "bread",
    "window",
    "forest",
]


def reviews(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"text": " ".join(rng.choice(WORDS, 14)), "label": "bad" if i % 2 else "good"} for i in range(count)]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def check(folder: Path, train: list[dict[str, Any]], **arguments: Any) -> dict[str, Finding]:
    files = {
        "train": write(folder / "train.jsonl", train),
        "val": write(folder / "val.jsonl", arguments.pop("val", reviews(20, seed=1))),
        "test": write(folder / "test.jsonl", arguments.pop("test", reviews(20, seed=2))),
    }
    return by_check(TextData(**files, **arguments).check())


def places(finding: Finding) -> list[str]:
    return [" = ".join(Path(name).name for name in place.split(" = ")) for place in finding.where]


def test_clean_texts_give_nothing(tmp_path: Path) -> None:
    assert check(tmp_path, reviews(60)) == {}


def test_empty_and_repeated(tmp_path: Path) -> None:
    train = reviews(60)
    train[3]["text"], train[7]["text"], train[9]["text"] = "", "  ", "spam " * 12
    found = check(tmp_path, train)
    assert found.keys() == {"empty_texts", "repeated_word"}
    assert (found["empty_texts"].severity, found["empty_texts"].count) == ("warning", 2)
    assert places(found["empty_texts"]) == ["train.jsonl:4", "train.jsonl:8"]
    assert places(found["repeated_word"]) == ["train.jsonl:10"]


def test_copies(tmp_path: Path) -> None:
    train, val = reviews(60), reviews(20, seed=1)
    train[10]["text"] = train[4]["text"].upper() + "!"
    val[5] = dict(train[8])
    train[21]["text"] = train[0]["text"]  # good, and now bad
    found = check(tmp_path, train, val=val)
    assert found.keys() == {"duplicates", "leak", "two_labels"}
    assert places(found["leak"]) == ["val.jsonl:6 = train.jsonl:9"]
    assert places(found["duplicates"]) == ["train.jsonl:11 = train.jsonl:5", "train.jsonl:22 = train.jsonl:1"]
    assert found["two_labels"].where[0].endswith("train.jsonl:1 (good)")
    assert "(bad) = " in found["two_labels"].where[0]


def test_near_copies(tmp_path: Path) -> None:
    train, test = reviews(60), reviews(20, seed=2)
    test[2] = dict(train[6], text=train[6]["text"] + " x")
    found = check(tmp_path, train, test=test)
    assert found.keys() == {"near_leak"}
    assert places(found["near_leak"]) == ["test.jsonl:3 = train.jsonl:7"]


@pytest.mark.parametrize(("tokens", "expected"), [(14, False), (10, True)])
def test_texts_that_are_cut(tmp_path: Path, tokens: int, expected: bool) -> None:
    found = check(tmp_path, reviews(60), max_tokens=tokens)
    assert ("cut_texts" in found) == expected
    if expected:
        assert found["cut_texts"].count == 100
        assert "data.max_tokens: 14" in found["cut_texts"].fix


def test_the_second_time_nothing_is_compared(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = reviews(60)
    train[10]["text"] = train[4]["text"]
    first = check(tmp_path, train)

    def fail(texts: Any) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr(checks, "similar_texts", fail)
    assert check(tmp_path, train) == first
    train[11]["text"] += " and more"
    with pytest.raises(AssertionError, match="compared again"):
        check(tmp_path, train)


@pytest.mark.parametrize("contents", [b"", b"garbage"])
def test_a_broken_cache_is_written_anew(tmp_path: Path, own_cache: Path, contents: bytes) -> None:
    train = reviews(60)
    train[10]["text"] = train[4]["text"]
    first = check(tmp_path, train)
    (kept,) = (own_cache / "checks").glob("texts-*.npy")
    good = kept.read_bytes()
    kept.write_bytes(contents)
    assert check(tmp_path, train) == first
    assert kept.read_bytes() == good


def test_text_files_in_class_folders(tmp_path: Path) -> None:
    for i, row in enumerate(reviews(40)):
        path = tmp_path / "mails" / row["label"] / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row["text"])
    (tmp_path / "mails/good/empty.txt").write_text("")
    found = by_check(TextData(str(tmp_path / "mails"), val_fraction=0, test_fraction=0).check())
    assert found.keys() == {"empty_texts"}
    assert found["empty_texts"].where == ("good/empty.txt",)


@pytest.mark.skipif(not (REAL / "sms_spam").is_dir(), reason="the real messages are not there")
def test_sms_spam_has_many_copies() -> None:
    path = str(REAL / "sms_spam" / "SMSSpamCollection")
    found = TextData(path, text="SMS", target="Label", separator="\t", quoting=False).check()
    counts = {finding.check: finding.count for finding in found}
    assert counts.keys() == {"leak", "near_leak", "duplicates", "near_duplicates"}
    copies = sum(finding.count for finding in found if finding.check in ("leak", "duplicates"))
    lines = [line.split("\t", 1)[1] for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]]
    assert copies >= len(lines) - len(set(lines))  # and those that differ in case and punctuation alone
