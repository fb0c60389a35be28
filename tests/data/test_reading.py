"""Tables from files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from fulmen.core.errors import DataError
from fulmen.data import encoding
from fulmen.data.encoding import find_encoding, guess_encoding
from fulmen.data.reading import column, read_table

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return made


def types(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "x,y\n1,a\n2,b\n"),
        ("a.CSV", "x,y\r\n1,a\r\n2,b"),
        ("a.tsv", "x\ty\n1\ta\n2\tb\n"),
        ("a.txt", "x;y\n1;a\n2;b\n"),
        ("a.txt", "x\ty\n1\ta\n2\tb\n"),
        ("a", "x\ty\n1\ta\n2\tb\n"),
        ("a.txt", "x|y\n1|a\n2|b\n"),
        ("a.csv", "\ufeffx,y\n1,a\n2,b\n"),
        ("a.csv", "x,y\n1,a\n2,b\n".encode("utf-16")),
        ("a.csv", "\n x , y\n1,a\n2,b\n"),
        ("a.csv.gz", gzip.compress(b"x,y\n1,a\n2,b\n", mtime=0)),
        ("a.jsonl", '{"x": 1, "y": "a"}\n\n{"x": 2, "y": "b"}\n'),
        ("a.jsonl.gz", gzip.compress(b'{"x": 1, "y": "a"}\n{"x": 2, "y": "b"}\n', mtime=0)),
        ("a.jsonl", '\ufeff{"x": 1, "y": "a"}\n{"x": 2, "y": "b"}\n'),
        ("a.json", '[{"x": 1, "y": "a"},\n {"x": 2, "y": "b"}]'),
    ],
)
def test_formats(write: Write, name: str, text: str | bytes) -> None:
    table = read_table(write(name, text))
    assert table.to_pydict() == {"x": [1, 2], "y": ["a", "b"]}
    assert types(table) == {"x": "int64", "y": "string"}


def test_parquet(tmp_path: Path) -> None:
    values = {"c": pa.array(["a", None, "a"]).dictionary_encode(), "l": pa.array(["x", "NA", "y"], pa.large_string())}
    parquet.write_table(
        pa.table({**values, "d": pa.array([1, 2, 3]).cast(pa.decimal128(25, 2))}), tmp_path / "a.parquet"
    )
    table = read_table(tmp_path / "a.parquet")
    assert types(table) == {"c": "string", "l": "string", "d": "double"}
    assert table.to_pydict() == {"c": ["a", None, "a"], "l": ["x", None, "y"], "d": [1.0, 2.0, 3.0]}
    assert read_table(tmp_path / "a.parquet", columns=["d", "c"]).column_names == ["d", "c"]
    with pytest.raises(DataError, match=r"unknown column 'x'. Allowed: c, d, l"):
        read_table(tmp_path / "a.parquet", columns=["d", "x"])


def test_missing_values_and_text_columns(write: Write) -> None:
    path = write("a.csv", "n,c,zip,note\n1,NA,007,None\n?,x,010,\nNaN, ?,011,ok\n")
    table = read_table(path, as_text=["zip", "note"])
    assert table.to_pydict() == {
        "n": [1, None, None],
        "c": [None, "x", None],
        "zip": ["007", "010", "011"],
        "note": ["None", None, "ok"],
    }
    assert read_table(path, missing=["x", "?"])["c"].to_pylist() == ["NA", None, None]


def test_a_late_value_of_another_type_makes_the_column_text(write: Write) -> None:
    rows = "1,2.5\n" * 800_000  # more than a block
    table = read_table(write("a.csv", "a,b\n" + rows + "x,y\n"))
    assert types(table) == {"a": "string", "b": "string"}
    assert table.num_rows == 800_001


def test_quotes(write: Write) -> None:
    path = write("a.csv", 'a,b\n1,"x, ""y""\nz"\n2,w\n')
    assert read_table(path)["b"].to_pylist() == ['x, "y"\nz', "w"]
    plain = write("b.tsv", 'a\tb\n1\t"x" he said\n2\t"\n')
    assert read_table(plain, quoting=False)["b"].to_pylist() == ['"x" he said', '"']


def test_headers(write: Write) -> None:
    path = write("a.csv", "1,a\n2,b\n")
    assert read_table(path, header=False).to_pydict() == {"0": [1, 2], "1": ["a", "b"]}
    assert read_table(path, header=["n", "c"]).to_pydict() == {"n": [1, 2], "c": ["a", "b"]}
    assert read_table(write("b.csv", "n,c\n1,a\n"), header=["n", "c"]).num_rows == 1
    assert read_table(write("c.csv", ",c\n0,a\n")).column_names == ["0", "c"]  # an index that pandas wrote


def test_options(write: Write) -> None:
    path = write("a.data", "a;b\n1,5;x\n2,5;y\n")
    assert read_table(path, separator=";", decimal=",").to_pydict() == {"a": [1.5, 2.5], "b": ["x", "y"]}
    assert read_table(path, separator=";", columns=["b"]).column_names == ["b"]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(-1000, 1000), st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_arrow_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    csv.write_csv(pa.table({"n": [n for n, _ in rows], "t": [t for _, t in rows]}), path)
    table = read_table(path, as_text=["t"])
    assert table["n"].to_pylist() == [n for n, _ in rows]
    assert table["t"].to_pylist() == [t for _, t in rows]


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("Zürich, café, naïve, señor", "latin-1", "cp1252"),
        ("it\u2019s \u201cquoted\u201d \u2013 5 €", "cp1252", "cp1252"),
        ("¿Qué? ¡Sí! 30 °C, 5 £, ½ l, 20 µm", "cp1252", "cp1252"),
        ("привет мир как дела", "cp1251", "cp1251"),
        ("łódź, był źrebię, ćma, święto", "cp1250", "cp1250"),
        ("これはテストです。日本語の文章", "shift_jis", "cp932"),
    ],
)
def test_encodings_are_guessed(write: Write, text: str, written: str, expected: str) -> None:
    path = write("a.csv", f"t\n{text.replace(',', ';')}\n".encode(written))
    assert find_encoding(path) == expected
    assert read_table(path)["t"].to_pylist() == [text.replace(",", ";")]


def test_a_guess_is_said_once_and_a_changed_file_is_looked_at_again(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_info", said.append)
    path = write("said.csv", "a\ncafé\n".encode("latin-1"))
    assert find_encoding(path) == find_encoding(path) == "cp1252"
    assert len(said) == 1
    assert "said.csv is not UTF-8; it is read as cp1252" in said[0]
    assert "set `encoding`" in said[0]
    path.write_text("a\ncafé au lait\n", encoding="utf-8")
    assert find_encoding(path) == "utf-8"


def test_utf8_is_seen_across_parts_of_a_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_CHUNK", 7)
    assert find_encoding(write("parts.csv", "aé\nüöä€\nlong line without an end: 語語語語\n")) == "utf-8"
    assert find_encoding(write("late.csv", b"a,b\n" * 50 + "Zürich,b\n".encode("latin-1"))) == "cp1252"


DEFECTS: list[tuple[str, str | bytes, dict[str, Any], str]] = [
    ("a.csv", b"", {}, r"a\.csv is empty \(0 bytes\)"),
    ("a.csv", "\n\n", {}, "has no line with text"),
    ("a.csv", "a,b\n", {}, "names of columns but no row"),
    ("a.csv", "a,b\n1\n", {}, r"line 2: 1 cells, where 2 are expected \(a, b\): '1'"),
    ("a.csv", 'a,b\n1,"x\n\ny"\n1,2,3\n', {}, "line 5: 3 cells, where 2"),
    ("a.csv", "a,b,a\n1,2,3\n", {}, r"2 columns are called 'a' \(columns 1, 3\)"),
    ("a.csv", "a;b\n1;2\n", {}, r'one column when cells are separated by ",".*set `separator: ";"`'),
    ("a.csv", "a\tb\n1\t2\n", {}, r'set `separator: "\\t"`'),
    ("a.tsv", "a,b\n1,2\n", {}, r'separated by "\\t".*set `separator: ","`'),
    ("a.csv", "a,b\n1,2\n", {"separator": "::"}, "it is one character"),
    ("a.csv", "a,b\n1,2\n", {"columns": ["c"]}, "unknown column 'c'"),
    ("a.csv", "5.1,3.5\n4.9,3.0\n", {"columns": ["text"]}, "if the first line is no header, set `header:"),
    ("a.csv", "1,2\n", {"header": ["a"]}, "header: 1 names are given, the first line of .* has 2 cells"),
    ("a.csv", 'a,b\n1,"x\n2,y\n', {}, "line 2: a quote does not match.*`quoting: false`"),
    ("a.tsv", 'a\tb\n1\t"x" y\n2\t"z\n3\tw\n', {}, "line 2: a quote does not match.*`quoting: false`"),
    ("a.csv", "a\nZürich\n".encode("latin-1") + "Köln\n".encode(), {}, "mixes encodings: 'Köln' is UTF-8, 'Zürich' is"),
    ("a.csv", b"a,b\n1,\x00\x01\x81\xff\x8d\n" * 3, {}, "no text in an encoding that is known"),
    ("a.csv", "a\né\n".encode("latin-1"), {"encoding": "utf-8"}, "cannot be read as utf-8: .*set another `encoding`"),
    ("a.csv", "a\n1\n", {"encoding": "utf-9"}, "encoding: 'utf-9' is not known"),
    ("a.csv.gz", b"no gzip", {}, "cannot be read: Not a gzipped file"),
    ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], {}, "cannot be read"),
    ("a.parquet", b"no parquet", {}, "cannot be read as Parquet"),
    ("a.xlsx", b"PK", {}, "the ending '.xlsx' is not known; allowed: .csv.*saved as CSV first"),
    ("a.csv", "text,label\na,b\n", {"columns": ["texts"]}, "unknown column 'texts'; did you mean 'text'"),
    ("a.jsonl", '{"label": ["a", "b"]}\n', {"as_text": ["label"]}, "column 'label' holds list.*where text is needed"),
    ("a.jsonl", '{"a": 1}\n{"a": \n', {}, "line 2 is no JSON object"),
    ("a.jsonl", '{"a": 1}\n[1]\n', {}, "line 2 is no JSON object"),
    ("a.jsonl", '{"a": 1}\n{"a": "x"}\n', {}, "changed from number to string"),
    ("a.json", "[1, 2]", {}, r"a\.json: "),
]


@pytest.mark.parametrize(("name", "text", "options", "message"), DEFECTS)
def test_defects(write: Write, name: str, text: str | bytes, options: dict[str, Any], message: str) -> None:
    path = write(name, text)
    with pytest.raises(DataError, match=message):
        read_table(path, **options)


def test_missing_files(write: Write, tmp_path: Path) -> None:
    write("train.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"there is no file .*trian\.csv.*did you mean .*train\.csv"):
        read_table(tmp_path / "trian.csv")
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "nowhere" / "train.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_column() -> None:
    table = pa.table({"text": ["a"], "label": [1]})
    assert column(table, "text").to_pylist() == ["a"]
    with pytest.raises(DataError, match="unknown column 'lable'; did you mean 'label'"):
        column(table, "lable")


def test_guess_without_an_answer() -> None:
    with pytest.raises(DataError, match="set `encoding`"):
        guess_encoding([b"\x81\x00\xff\xfe\x8d\x00"], "x.csv")
