"""Defects of data that people bring: each ends with exit code 2 before training, and says what, where and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from tests.conftest import Cli

Make = Callable[[Path], dict[str, Any]]
ROWS = [(20 + i % 30, ["red", "green", "blue"][i % 3], i * 1.5, ["yes", "no"][i % 2]) for i in range(60)]


def lines(rows: list[tuple[Any, ...]] = ROWS, names: str = "age,colour,size,label", by: str = ",") -> list[str]:
    return [names.replace(",", by), *(by.join(map(str, row)) for row in rows)]


def write(path: Path, content: list[str] | bytes | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(content) + "\n" if isinstance(content, list) else content
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def table(content: list[str] | bytes | str | None = None, name: str = "t.csv", **arguments: Any) -> Make:
    """A table of rows, trained on as they are unless the content says otherwise."""

    def make(folder: Path) -> dict[str, Any]:
        write(folder / name, lines() if content is None else content)
        return {"class_path": "TabularData", "init_args": {"train": name, "target": "label", **arguments}}

    return make


def texts(content: list[str] | bytes | str | None = None, name: str = "t.csv", **arguments: Any) -> Make:
    rows = ["text,label", *(f"some words number {i},{['good', 'bad'][i % 2]}" for i in range(60))]

    def make(folder: Path) -> dict[str, Any]:
        write(folder / name, rows if content is None else content)
        return {"class_path": "TextData", "init_args": {"train": name, **arguments}}

    return make


def other(make: Make, path: str, content: list[str] | bytes | str, **arguments: Any) -> Make:
    """The same with one more file."""

    def both(folder: Path) -> dict[str, Any]:
        write(folder / path, content)
        data = make(folder)
        data["init_args"] |= arguments
        return data

    return both


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 90, 3), np.uint8)).save(path)


def images(change: Callable[[Path], None] = lambda folder: None, **arguments: Any) -> Make:
    def make(folder: Path) -> dict[str, Any]:
        for i in range(20):
            for split in ("train", "val"):
                picture(folder / "images" / split / ["cat", "dog"][i % 2] / f"{i}.jpg", i + 100 * (split == "val"))
        change(folder / "images")
        arguments_ = {"root": "images", "image_size": 64, "num_workers": 0, **arguments}
        return {"class_path": "ImageFolderData", "init_args": arguments_}

    return make


def photo_table(content: list[str], **arguments: Any) -> Make:
    def make(folder: Path) -> dict[str, Any]:
        for i in range(8):
            picture(folder / f"{i}.png", i)
        write(folder / "photos.csv", content)
        return {
            "class_path": "ImageTableData",
            "init_args": {"table": "photos.csv", "image_size": 64, "num_workers": 0, **arguments},
        }

    return make


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def parquet_without_target(folder: Path) -> dict[str, Any]:
    parquet.write_table(pa.table({"a": [1, 2, 3]}), folder / "t.parquet")
    return {"class_path": "TabularData", "init_args": {"train": "t.parquet", "target": "label"}}


PHOTOS = ["path,label", *(f"{i}.png,{['cat', 'dog'][i % 2]}" for i in range(8))]
ONE_MORE = [*lines(), "33,red,4.5,maybe"]
JSONL = [json.dumps({"text": f"words {i}", "label": i % 2}) for i in range(30)]

DEFECTS: dict[str, tuple[Make, list[str]]] = {
    # tables: the file
    "no such file": (table(name="t.csv", train="tt.csv"), ["tt.csv", "t.csv"]),
    "empty file": (table(""), ["t.csv", "empty"]),
    "header only": (table(["age,colour,size,label"]), ["t.csv", "no row"]),
    "unknown ending": (table(name="t.xlsx", train="t.xlsx"), ["t.xlsx", ".csv"]),
    "a folder for a file": (other(table(), "folder/x.csv", "a\n", train="folder"), ["folder"]),
    "wrong separator": (table(lines(by=";")), ["separator", ";"]),
    "wrong separator given": (table(separator="|"), ["separator"]),
    "too many fields": (table([*lines(), "1,2,3,yes,5"]), ["t.csv", "62"]),
    "too few fields": (table([*lines(), "1,2"]), ["t.csv", "62"]),
    "an open quote": (table([*lines(), '33,"red,4.5,yes']), ["t.csv", "quot"]),
    "duplicate column names": (table(lines(names="age,age,size,label")), ["2 columns", "'age'"]),
    "no header": (table(lines()[1:]), ["'label'", "header"]),
    "broken parquet": (table(b"PAR1 nonsense", name="t.parquet", train="t.parquet"), ["t.parquet"]),
    "parquet without the target": (parquet_without_target, ["'label'", "a"]),
    "wrong encoding given": (table(encoding="utf-99"), ["encoding", "utf-99"]),
    "binary file": (table(bytes(range(256)) * 8), ["t.csv"]),
    # tables: columns and targets
    "missing column": (table(target="lable"), ["'lable'", "'label'"]),
    "unknown ignored column": (table(ignore=["colr"]), ["'colr'", "colour"]),
    "unknown type": (table(types={"age": "numbr"}), ["types", "numbr"]),
    "type of no column": (table(types={"agee": "number"}), ["'agee'", "'age'"]),
    "text in a number column": (table(types={"colour": "number"}), ["colour", "red"]),
    "NaN target": (table([*lines(), "33,red,4.5,"]), ["label", "t.csv:62", "drop_missing_target"]),
    "text target of a regression": (table(target_type="regression"), ["label", "'yes'", "no number", "t.csv:2"]),
    "one class only": (table(lines([(*row[:3], "yes") for row in ROWS])), ["2 classes", "yes"]),
    "label in one row only": (table(ONE_MORE, split_seed=0, val_fraction=0.5, test_fraction=0.3), ["maybe"]),
    "no column left": (table(ignore=["age", "colour", "size"]), ["column"]),
    "class names that lack one": (table(class_names=["yes", "nein"]), ["'no'", "nein"]),
    "target is a feature": (table(lines([(*row, row[3]) for row in ROWS], "age,colour,size,copy,label")), ["copy"]),
    "other file without a column": (
        other(table(), "v.csv", lines([(r[0], r[2], r[3]) for r in ROWS], "age,size,label"), val="v.csv"),
        ["v.csv", "colour"],
    ),
    "unknown class in validation": (other(table(), "v.csv", ONE_MORE, val="v.csv"), ["v.csv", "'maybe'", "yes"]),
    "the test file is the training file": (table(test="t.csv"), ["test", "train"]),
    # splits
    "no such split column": (table(split_by={"group": "farm"}), ["'farm'", "colour"]),
    "unknown split": (table(split_by={"column": "colour"}), ["split_by", "unknown split", "train"]),
    "unknown way": (table(split_by="stratified"), ["split_by", "stratified", "class"]),
    "no such split file": (table(split_by={"file": "split.csv"}), ["split_by", "split.csv"]),
    "too many folds": (table(folds=5, fold=5), ["fold", "5", "0 to 4"]),
    "balance of a regression": (table(target="size", balance="class_weights"), ["balance"]),
    # texts
    "no text column": (texts(text="sentence"), ["'sentence'", "text"]),
    "all texts empty": (texts(["text,label", *(f",{i % 2}" for i in range(40))]), ["no word", "text column"]),
    "broken JSON": (texts([*JSONL, '{"text": "x'], name="t.jsonl", train="t.jsonl"), ["t.jsonl", "31"]),
    "no tokenizer file": (texts(tokenizer="tok.json"), ["tokenizer", "tok.json"]),
    "unknown tokenizer": (texts(tokenizer="bpee"), ["tokenizer", "bpee", "bpe"]),
    "vocabulary of one": (texts(vocabulary=1), ["vocabulary", "1"]),
    "a folder without texts": (other(texts(), "f/a/x.png", b"no", train="f"), ["f"]),
    # images
    "0-byte image": (
        images(lambda f: (f / "train/cat/0.jpg").write_bytes(b"") and None, on_bad_file="error"),
        ["0.jpg"],
    ),
    "cut image": (images(lambda f: cut(f / "train/cat/2.jpg")), ["2.jpg", "decode"]),
    "text named .jpg": (images(lambda f: write(f / "val/dog/a.jpg", "hello") and None, on_bad_file="error"), ["a.jpg"]),
    "empty class folder": (images(lambda f: (f / "train/bird").mkdir()), ["bird", "no image"]),
    "a class that only validation has": (images(lambda f: picture(f / "val/bird/1.jpg")), ["'bird'", "cat"]),
    "folder of folders": (images(root="."), ["images"]),
    "file for a folder": (other(images(), "x.txt", "x", root="x.txt"), ["x.txt"]),
    "bad cache": (images(cache="tape"), ["cache", "'ram'"]),
    # tables of images
    "missing image file": (photo_table([*PHOTOS, "9.png,cat"]), ["9.png", "photos.csv:10"]),
    "no path column": (photo_table(PHOTOS, path="file"), ["'file'", "path"]),
    "an empty label": (photo_table([*PHOTOS, "7.png,"]), ["photos.csv:10", "label"]),
}


def test_there_are_enough() -> None:
    assert len(DEFECTS) >= 40


@pytest.mark.parametrize("name", DEFECTS)
def test_defect(cli: Cli, write_config: Callable[..., Path], tmp_path: Path, name: str) -> None:
    make, expected = DEFECTS[name]
    data = make(tmp_path)
    module = {"TabularData": "MLPModule", "TextData": "TextMLPModule"}.get(data["class_path"], "CNNModule")
    arguments = {"channels": [4]} if module == "CNNModule" else {"hidden_features": [4]}
    path = write_config(data=data, model={"class_path": module, "init_args": arguments})
    result = cli("fit", "--config", path)
    assert result.code == 2, result.out + result.err
    assert "Traceback" not in result.err
    for part in expected:
        assert part in result.error, result.error
    assert len(result.error) < 2500
    assert not list(tmp_path.glob("runs/*/*/checkpoints/*"))
