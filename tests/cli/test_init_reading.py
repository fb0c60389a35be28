"""How `lightning init` reads tables: separators, quotes, headers, samples of large files, and which column is what."""

from __future__ import annotations

import csv
import gzip
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from fulmen.cli.init import folders, sample
from fulmen.cli.init.columns import Column, describe
from fulmen.cli.init.companions import group, role
from fulmen.cli.init.dialect import find_dialect
from fulmen.cli.init.options import Options
from fulmen.cli.init.splits import split_column, split_hint
from fulmen.cli.init.target import find_target
from fulmen.core.errors import ConfigError
from fulmen.data import image_paths

NO_OPTIONS = Options(Path("x"))
WORDS = st.text(alphabet="abc ,;|'\"\n", max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 999), WORDS, st.sampled_from(["yes", "no"])), min_size=5, max_size=30),
    separator=st.sampled_from([",", ";", "\t", "|"]),
)
def test_dialects_of_written_files(rows: list[tuple[object, ...]], separator: str) -> None:
    """A file that Python's own writer has quoted where it must, with at least one cell in quotes."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerows([("number", "words", "label"), (1, f"so{separator} quoted", "yes"), *rows])
    found = find_dialect(out.getvalue(), ".csv", separator=separator)
    assert (found.quoting, found.header) == (True, True)


@pytest.mark.parametrize(
    ("text", "ending", "separator", "quoting", "header"),
    [
        ("a,b\n1,2\n3,4\n", ".csv", ",", True, True),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ".csv", ";", True, True),
        ("1,2\n3,4\n", ".csv", ",", True, False),
        ('x\ty\nham\t"no\nspam\tend" of it\n', ".tsv", "\t", False, True),
        ('x\ty\nham\t"no"\nspam\t"two\nlines"\n', ".tsv", "\t", True, True),
        ("good,fine day\nbad,rainy day\ngood,sunny day\ngood,x\nbad,y\n", ".csv", ",", True, False),
        ("kind,what\ngood,fine day\nbad,rainy day\ngood,sunny day\n", ".csv", ",", True, True),
        ("a|b|c\n1|2|x, y\n3|4|z\n", ".txt", "|", True, True),
        ("just some words\nand more, of them\n", ".txt", "\t", True, True),
        (",a\n0,5\n1,6\n", ".csv", ",", True, True),
    ],
)
def test_dialects(text: str, ending: str, separator: str, quoting: bool, header: bool) -> None:
    found = find_dialect(text, ending)
    assert (found.separator, found.quoting, found.header) == (separator, quoting, header)


def test_a_large_table_is_sampled_from_all_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_WHOLE", 40_000)
    path = tmp_path / "sorted.csv"
    path.write_text("x,label\n" + "".join(f"{i:09},{'abcdefgh'[i // 20_000]}\n" for i in range(160_000)))
    found = sample.read_sample(path, NO_OPTIONS)
    assert not found.whole
    assert abs(found.rows - 160_000) < 8_000
    assert len(found.table) < 8_000
    assert set(found.table["label"].to_pylist()) == set("abcdefgh")  # though the file is sorted by it


def test_a_large_packed_table_is_sampled_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_WHOLE", 4_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(
        gzip.compress(("x,label\n" + "".join(f"{i * 7919 % 997},{i % 2}\n" for i in range(20_000))).encode())
    )
    found = sample.read_sample(path, NO_OPTIONS)
    assert not found.whole
    assert found.table.column_names == ["x", "label"]


def test_a_large_parquet_file_is_sampled_from_all_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_WHOLE", 4_000)
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"x": range(100_000)}), path, row_group_size=10_000)
    found = sample.read_sample(path, NO_OPTIONS)
    values = found.table["x"].to_numpy()
    assert (found.rows, found.whole) == (100_000, False)
    assert len(values) <= 40_000
    assert len(set(values // 10_000)) == 8


def test_errors_of_a_sample_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_WHOLE", 4_000)
    path = tmp_path / "a.csv"
    path.write_text("x,label\n" + "1,2\n" * 100 + "1,2,3\n" + "1,2\n" * 5_000)
    with pytest.raises(Exception, match=str(path)):
        sample.read_sample(path, NO_OPTIONS)


def columns(**values: list[object]) -> list[Column]:
    return describe(pa.table(values))


def test_kinds_of_columns() -> None:
    n = range(60)
    found = {
        c.name: c
        for c in columns(
            id=[f"u{i}" for i in n],
            RowId=list(n),
            text=[f"these are some words {i}" for i in n],
            file=[f"a/{i}.JPG" for i in n],
            few=[i % 5 for i in n],
            gaps=[None if i % 2 else i % 3 for i in n],
            number=[i * 0.3 for i in n],
            kind=["ab"[i % 2] for i in n],
            flag=[i % 2 == 0 for i in n],
        )
    }
    assert {name for name, c in found.items() if c.is_identifier} == {"id", "RowId"}
    assert {name for name, c in found.items() if c.is_text} == {"text"}
    assert {name for name, c in found.items() if c.is_path} == {"file"}
    assert {name for name, c in found.items() if c.has_classes} == {"few", "gaps", "kind", "flag"}
    assert {name for name, c in found.items() if c.has_numbers} == {"number"}
    assert (found["gaps"].missing, found["gaps"].counts) == (30, {"0": 10, "1": 10, "2": 10})


NUMBERS = {name: [i * f for i in range(50)] for name, f in (("a", 0.3), ("b", 0.7))}
CLASSES = ["xy"[i % 2] for i in range(50)]


@pytest.mark.parametrize(
    ("table", "absent", "target", "reason"),
    [
        ({**NUMBERS, "target": [i * 0.1 for i in range(50)]}, (), "target", "by its name"),
        ({"Class": CLASSES, **NUMBERS}, (), "Class", "by its name"),
        ({**NUMBERS, "sex": CLASSES, "income": CLASSES}, (), "income", "by its name and place"),
        ({**NUMBERS, "kind": CLASSES}, (), "kind", "the only column with classes"),
        ({"kind": CLASSES, "sort": CLASSES, **NUMBERS}, ("sort",), "sort", "the only column that the test table lacks"),
        ({"id": [f"u{i}" for i in range(50)], "x": NUMBERS["a"]}, (), "x", "the only column that can be it"),
    ],
)
def test_the_target(table: dict[str, list[object]], absent: tuple[str, ...], target: str, reason: str) -> None:
    found = find_target(columns(**table), NO_OPTIONS, (), frozenset(absent))
    assert (found.column, found.reason) == (target, reason)


@pytest.mark.parametrize(
    "table", [NUMBERS, {**NUMBERS, "k1": CLASSES, "k2": CLASSES}, {**NUMBERS, "label": CLASSES, "class": CLASSES}]
)
def test_targets_that_are_not_clear(table: dict[str, list[object]]) -> None:
    with pytest.raises(ConfigError, match="Which column is to be predicted"):
        find_target(columns(**table), NO_OPTIONS)


def test_labels_with_separators_are_told_from_categories() -> None:
    label = ["drama|crime", "drama", "crime", "crime|war", "war"] * 10
    found = find_target(columns(x=list(range(50)), label=label), NO_OPTIONS)
    assert (found.type, found.separator, found.counts) == ("multilabel", "|", {"crime": 30, "drama": 20, "war": 20})
    place = ["Bonn, DE", "Wien, AT", "Köln, DE", "Graz, AT", "Jena, DE"] * 10
    found = find_target(columns(x=list(range(50)), label=place), NO_OPTIONS)
    assert (found.type, found.separator) == ("multiclass", None)


def test_roles_of_files() -> None:
    names = ["adult.test.csv", "adult_train.csv", "adult-validation.csv", "other.csv", "Test.csv", "Train.csv"]
    assert [role(name)[0] for name in names] == ["test", "train", "val", "", "test", "train"]
    found = group([Path(name) for name in names[1:3] + names[4:]], NO_OPTIONS)
    assert [(t.train.name, t.val and t.val.name, t.test and t.test.name) for t in found] == [
        ("adult_train.csv", None, None),
        ("Train.csv", None, "Test.csv"),
    ]


def test_columns_to_split_by() -> None:
    found = split_column(columns(x=[1, 2, 3], set=["train", "test", "val"]), "x")
    assert found is not None
    assert (found.value, found.active) == ({"column": "set"}, True)
    assert split_column(columns(x=[1, 2, 3], result=["pass", "test", "val"]), "x") is None
    ratings = columns(user_rating=[i % 5 for i in range(50)], user=[i // 5 for i in range(50)])
    found = split_hint(ratings, "user_rating")
    assert found is not None
    assert (found.value, found.active) == ({"group": "user"}, False)


# Folders


def test_endings_are_those_that_the_data_read() -> None:
    assert set(image_paths.ENDINGS) == folders.IMAGES


def test_many_files_are_counted_quickly_and_few_are_remembered(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(2_000):
            os.close(os.open(tmp_path / name / f"{i}.jpg", os.O_CREAT))
    start = time.process_time()
    found = folders.walk(tmp_path)
    assert time.process_time() - start < 0.5  # a million in about 5 s
    assert found.count(folders.IMAGES) == 4_000
    assert [len(folder.first[".jpg"]) for folder in found.folders.values()] == [200, 200]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert 1 <= folders.walk(tmp_path).count(folders.IMAGES) <= 3


@pytest.mark.slow
def test_it_starts_without_torch(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{i * 0.3},{i % 2}\n" for i in range(40)))
    code = (
        "import sys; from fulmen.cli.main import main; assert main(['init', 'a.csv']) == 0; "
        "heavy = {'torch', 'lightning', 'sklearn', 'jsonargparse', 'timm'} & set(sys.modules); assert not heavy, heavy"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "a.yaml").is_file()
