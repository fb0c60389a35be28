"""What `lightning init` says where there is nothing to train on, or something has to be said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.cli.test_init import images, people, table
from tests.conftest import Cli


def fails(cli: Cli, *arguments: object) -> str:
    result = cli("init", *arguments)
    assert result.code == 2, result.out
    assert result.out == ""
    assert not list(Path().glob("*.yaml"))
    return result.error


def write(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


NUMBERS = "a,b,c\n" + "".join(f"{i * 0.37},{i * 1.7},{i * 2.9}\n" for i in range(50))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"\x89PNG", "a.png is one image; give the folder"),
        ("a.zip", b"PK", "a.zip is an archive; unpack it first"),
        ("a.xlsx", b"PK", "a.xlsx is a spreadsheet; save it as CSV first"),
        ("a.npz", b"PK", "a.npz holds arrays; from Python, fulmen.ArrayData"),
        ("a.docx", b"PK", "a.docx: the ending '.docx' is not known; known are .csv"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", "x\n1\n2\n", "a.csv has one column ('x'); there must be one more to predict"),
        ("a.csv", "x,y\n", "a.csv holds the names of columns but no row"),
        ("a.csv", b"x,y\n1,\x00\n", "a.csv is no text"),
        ("a.csv", "x,y\n1,2\n3,4,5\n", "line 3: 3 cells, where 2 are expected"),
        ("a.csv", "x,label\n1,a\n2,a\n3,a\n", "column 'label' holds 'a' alone; there is nothing to learn"),
        ("a.parquet", b"PAR1", "a.parquet cannot be read as Parquet"),
        ("a.jsonl", '{"a": 1}\n{"a": 2\n', "line 2 is no JSON object"),
        ("a", b"\x00\x01\x02", "a is no text"),
    ],
)
def test_files(cli: Cli, name: str, content: str | bytes, message: str) -> None:
    write(name, content)
    assert message in fails(cli, name)


def test_a_path_that_is_not_there(cli: Cli) -> None:
    write("people.csv", NUMBERS)
    assert "there is no file or folder 'peple.csv'" in (message := fails(cli, "peple.csv"))
    assert "did you mean 'people.csv'?" in message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is empty: it holds no file"),
        ({"a/b/.hidden": "x"}, "is empty: it holds no file"),
        ({"a/x.dat": "1", "b/y.dat": "2"}, "holds no images, texts or tables that are known (files: 2 .dat)"),
        ({"a/b/x.dat": "1", "a/c/y.dat": "2"}, "holds no images, texts or tables that are known"),
        ({"1.png": "", "2.png": ""}, "holds 2 images, but nothing says what they are"),
        ({"a/1.png": "", "a/2.png": ""}, "holds 2 images, but nothing says what they are"),
        ({"a/1.png": "", "b/2.png": "", "c/3.dat": ""}, "has folders of images (a, b), and folders without any (c)"),
        (
            {"images/1.png": "", "masks/1.png": ""},
            "looks like segmentation: masks/ holds an image for each one in images",
        ),
        ({"images/1.png": "", "labels/1.txt": ""}, "looks like object detection"),
        (
            {"JPEGImages/1.jpg": "", "Annotations/1.xml": ""},
            "looks like object detection (1 .xml files beside 1 images)",
        ),
    ],
)
def test_folders(cli: Cli, files: dict[str, str], message: str) -> None:
    Path("data").mkdir()
    for name, content in files.items():
        write(f"data/{name}", content)
    error = fails(cli, "data")
    assert message in error
    if "looks like" not in error and "is empty" not in error:
        assert "What works:\n  FOLDER/cat/1.jpg" in error


def test_a_table_of_boxes(cli: Cli) -> None:
    write("boxes.csv", "file,kind,xmin,xmax,ymin,ymax\n" + "".join(f"{i}.jpg,a,1,2,{i},4\n" for i in range(9)))
    assert "looks like object detection: each row is a box in an image (xmin, ymin)" in fails(cli, "boxes.csv")


def test_images_that_cannot_be_opened(cli: Cli) -> None:
    for name in ("a/1.png", "b/1.png"):
        write(f"pets/{name}", "no image")
    assert "none of 2 images can be opened" in fails(cli, "pets")


def test_images_of_a_table_that_are_nowhere(cli: Cli) -> None:
    table(Path("a.csv"), 30, {"file": lambda i: f"{i}.png", "label": lambda i: i % 2})
    assert "but they are not in" in (message := fails(cli, "a.csv"))
    assert "say where with --root FOLDER" in message
    images(Path("elsewhere/x"), ["."], each=30)
    assert cli("init", "a.csv", "--root", "elsewhere/x").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "tagret"], "target: unknown column 'tagret'; did you mean 'target'? Allowed: PersonId, age"),
        (["--text", "nam"], "text: unknown column 'nam'; did you mean 'name'?"),
        (["--path", "fil"], "path: unknown column 'fil'"),
        (["--text", "name", "--target", "name"], "target: 'name' cannot be the inputs as well"),
        (["--target", "name"], "column 'name' has 80 different values, such as 'person no0 a x0'"),
        (["--target", "city", "--target_type", "regression"], "column 'city' holds no numbers, but 'Bonn'"),
        (["--test", "no.csv"], "test: there is no file or folder 'no.csv'"),
        (["--out", "x/c.yaml"], "out: there is no folder 'x'"),
        (["--out", "c.txt"], "out: c.txt must end in .yaml"),
        (["--weights", "no.pth"], "weights: there is no file or folder 'no.pth'"),
    ],
)
def test_options(cli: Cli, options: list[str], message: str) -> None:
    people(Path("people.csv"), lambda i: i % 2)
    assert message in fails(cli, "people.csv", *options)


@pytest.mark.parametrize("option", ["--target", "--separator", "--root"])
def test_options_that_mean_nothing(cli: Cli, option: str) -> None:
    images(Path("pets"), ["cat", "dog"], each=1)
    message = fails(cli, "pets", option, "pets")
    assert message == (
        f"{option[2:]}: pets is taken for images in class folders, for which {option} means nothing; leave it out"
    )


def test_a_target_is_of_the_table_beside_class_folders(cli: Cli) -> None:
    images(Path("pets"), ["cat", "dog"], each=3)
    table(Path("pets/a.csv"), 30, {"x": lambda i: i * 0.3, "fur": lambda i: i % 2})
    assert cli("init", "pets", "--out", "a.yaml").out.startswith("images in 2 class folders")
    assert cli("init", "pets", "--target", "fur", "--out", "b.yaml").out.startswith("a table: 30 rows")


def test_an_unknown_option(cli: Cli) -> None:
    assert cli("init", "x", "--tagret", "a").code == 2
    assert cli("init").code == 2


def test_a_file_is_never_overwritten(cli: Cli) -> None:
    people(Path("people.csv"), lambda i: i % 2)
    assert cli("init", "people.csv").code == 0
    before = Path("people.yaml").read_bytes()
    result = cli("init", "people.csv", "--target", "age")
    assert result.code == 2
    assert "people.yaml exists, and is never overwritten; write --out people_2.yaml, or remove it" in result.error
    assert Path("people.yaml").read_bytes() == before
    assert cli("init", "people.csv", "--out", "people_2.yaml").code == 0


# What has to be said


def test_several_targets_without_a_terminal(cli: Cli) -> None:
    write("numbers.csv", NUMBERS)
    assert fails(cli, "numbers.csv") == "Which column is to be predicted? Give --target COLUMN: c, a, b"


def test_several_tables_without_a_terminal(cli: Cli) -> None:
    for name in ("one.csv", "two.csv"):
        people(Path("data") / name, lambda i: i % 2)
    message = fails(cli, "data")
    assert message == "Which table is it? Give one of them as PATH: data/one.csv, data/two.csv"


@pytest.mark.parametrize(("answer", "target"), [("", "c"), ("a", "a")])
def test_one_question_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str, target: str) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or answer)
    write("numbers.csv", NUMBERS)
    result = cli("init", "numbers.csv")
    assert result.code == 0, result.err
    assert asked == ["[c] "]
    assert result.out.startswith("Which column is to be predicted? (c, a, b)\n")
    assert f"target: {target} " in Path("numbers.yaml").read_text()


def test_an_answer_that_is_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: "bb")
    write("numbers.csv", NUMBERS)
    result = cli("init", "numbers.csv")
    assert (result.code, result.error) == (2, "'bb' is none of them; did you mean 'b'?")


def test_nothing_is_asked_where_a_target_is_given(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("it asked"))
    write("numbers.csv", NUMBERS)
    assert cli("init", "numbers.csv", "--target", "b").code == 0


def test_missing_labels_of_texts(cli: Cli) -> None:
    rows = [{"text": f"a fine film {i}", "label": ["good", "bad", None][i % 3]} for i in range(30)]
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert "10 rows have nothing in the column 'label'" in fails(cli, "a.jsonl")


def test_no_column_is_left(cli: Cli) -> None:
    parquet.write_table(pa.table({"constant": [1] * 30, "label": ["a", "b"] * 15}), "a.parquet")
    assert "no column is left to predict 'label' from (constant: one value in all rows)" in fails(cli, "a.parquet")


def test_a_folder_that_may_not_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    images(Path("pets"), ["cat", "dog"], each=1)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fulmen.cli.init.folders.os.scandir", refuse)
    assert "pets cannot be read: Permission denied" in fails(cli, "pets")


def test_a_file_that_may_not_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    write("numbers.csv", NUMBERS)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fulmen.cli.init.sample.find_encoding", refuse)
    assert "numbers.csv cannot be read: Permission denied" in fails(cli, "numbers.csv", "--target", "a")
