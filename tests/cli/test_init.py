"""`lightning init`: every config that it writes parses, trains, and says what the data are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from pyarrow import parquet
from tests.conftest import Cli

FILMS = ["a fine warm film about people", "dull and far too long to watch", "I liked the actors in it", "what a bore"]
Make = Callable[[Path], list[object]]


def images(folder: Path, names: list[str], each: int = 10, mode: str = "RGB", size: tuple[int, int] = (40, 32)) -> None:
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            pixels = rng.integers(0, 200, (size[1], size[0], 3), np.uint8) + np.uint8(10 * number)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{i}.png")


def table(path: Path, rows: int, columns: dict[str, Callable[[int], object]], separator: str = ",") -> Path:
    lines = [separator.join(columns), *(separator.join(str(f(i)) for f in columns.values()) for i in range(rows))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def people(path: Path, target: Callable[[int], object], rows: int = 80, name: str = "target") -> Path:
    columns: dict[str, Callable[[int], object]] = {
        "PersonId": lambda i: i + 1,
        "name": lambda i: f"person no{i} {'abc'[i % 3]} x{i * 7}",
        "joined": lambda i: f"2024-01-{i % 28 + 1:02}",
        "age": lambda i: 20 + i % 50 if i % 9 else "",
        "height": lambda i: round(1.5 + (i * 37 % 50) / 100, 2),
        "city": lambda i: ["Bonn", "Köln", "NA"][i // 5 % 3],
        "constant": lambda i: 1,
        name: target,
    }
    return table(path, rows, columns)


def fit(cli: Cli, config: str, *options: object) -> None:
    """Trains a config for an epoch."""
    trained = cli("fit", "--config", config, "--trainer.max_epochs", 1, "--logger", "null", *options)
    assert trained.code == 0, trained.err


def init(cli: Cli, *arguments: object) -> tuple[dict[str, Any], str]:
    """The config that is written, and what is said."""
    result = cli("init", *arguments, "--out", "c.yaml")
    assert result.code == 0, result.err
    assert result.out.rstrip().endswith(
        "c.yaml is written. Next:\n  lightning check --config c.yaml\n  lightning fit --config c.yaml"
    )
    text = Path("c.yaml").read_text(encoding="utf-8")
    assert text.startswith("# lightning fit --config c.yaml\n")
    config: dict[str, Any] = yaml.safe_load(text)
    return config, result.out


# Images


@pytest.mark.parametrize(
    ("folders", "mode", "expected"),
    [
        (["cat", "dog"], "RGB", {}),
        (["a", "b", "c", "d", "e"], "RGB", {}),
        (["nine", "one"], "L", {"channels": 1}),
        (["train/cat", "train/dog", "val/cat", "val/dog"], "RGB", {}),
        (["Train/cat", "Train/dog", "Test/cat", "Test/dog"], "RGB", {}),
    ],
)
def test_class_folders(cli: Cli, tmp_path: Path, folders: list[str], mode: str, expected: dict[str, Any]) -> None:
    images(tmp_path / "pets", folders, mode=mode)
    config, said = init(cli, "pets")
    data = config["data"]
    assert data["class_path"] == "ImageFolderData"
    assert data["init_args"].items() >= {"root": "pets", "image_size": 32, **expected}.items()
    assert ("channels" in data["init_args"]) == (mode == "L")
    splits = {folder.partition("/")[0] for folder in folders if "/" in folder}
    assert ("val_fraction" in data["init_args"]) == ("val" not in splits)
    assert ("test_fraction" in data["init_args"]) == (not splits)
    classes = len({folder.rpartition("/")[2] for folder in folders})
    assert f"images in {classes} class folders" in said
    fit(cli, "c.yaml", "--data.num_workers", 0)


def test_large_images_offer_a_pretrained_backbone(cli: Cli, tmp_path: Path) -> None:
    images(tmp_path / "photos", ["ants", "bees"], each=3, size=(180, 160))
    config, _ = init(cli, "photos")
    assert config["model"]["class_path"] == "CNNModule"
    assert config["data"]["init_args"]["image_size"] == 128
    assert config["data"]["init_args"]["augment"] == ["resized_crop", "flip"]
    lines = Path("c.yaml").read_text().splitlines()
    offered = [line.replace("# ", "", 1) for line in lines if line.startswith(("  # class_path", "  # init_args"))]
    other = yaml.safe_load("\n".join(offered))
    assert other["class_path"] == "TransferModule"
    assert other["init_args"]["pretrained"] is True


def test_a_backbone_with_local_weights(cli: Cli, tmp_path: Path) -> None:
    import timm
    import torch

    images(tmp_path / "photos", ["train/ants", "train/bees", "val/ants", "val/bees"], each=6, size=(64, 64))
    torch.save(timm.create_model("mobilenetv2_100").state_dict(), "own.pth")
    config, _ = init(cli, "photos", "--weights", "own.pth")
    model = config["model"]
    assert model["class_path"] == "TransferModule"
    assert model["init_args"].items() >= {"weights": "own.pth", "freeze": "all"}.items()
    assert config["data"]["init_args"]["image_size"] == 224
    fit(cli, "c.yaml", "--data.num_workers", 0, "--data.image_size", 64)


def test_images_of_a_competition(cli: Cli, tmp_path: Path) -> None:
    images(tmp_path / "pets", ["train/cat", "train/dog", "test"])
    config, said = init(cli, "pets")
    assert config["data"]["init_args"].items() >= {"root": "pets/train", "predict_root": "pets/test"}.items()
    assert "pets/test has no class folders" in said
    fit(cli, "c.yaml", "--data.num_workers", 0)


def test_uneven_classes_are_balanced(cli: Cli, tmp_path: Path) -> None:
    images(tmp_path / "cells", ["healthy"], each=40)
    images(tmp_path / "cells", ["ill"], each=8)
    config, _ = init(cli, "cells")
    assert config["data"]["init_args"]["balance"] == "class_weights"
    assert config["checkpoint"] == {"monitor": "val/average_precision", "mode": "max"}
    assert "'ill'" in Path("c.yaml").read_text()
    fit(cli, "c.yaml", "--data.num_workers", 0)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (lambda i: "catdog"[3 * (i % 2) :][:3], {}),
        (lambda i: ["cat", "dog", "cat|dog", "cow|dog", "cow"][i % 5], {"label_separator": "|"}),
        (lambda i: round(i * 0.37, 2), {"target_type": "regression"}),
    ],
)
def test_a_table_of_images(cli: Cli, tmp_path: Path, label: Callable[[int], object], expected: dict[str, Any]) -> None:
    images(tmp_path / "pets" / "files", ["."], each=40)
    columns: dict[str, Callable[[int], object]] = {"file name": lambda i: f"{i}.png", "what": label}
    table(tmp_path / "pets" / "labels.csv", 40, columns)
    config, said = init(cli, "pets")
    data = config["data"]
    assert data["class_path"] == "ImageTableData"
    paths = {"table": "pets/labels.csv", "root": "pets/files", "path": "file name", "target": "what"}
    assert data["init_args"].items() >= {**paths, **expected}.items()
    assert ("target_type" in data["init_args"]) == ("target_type" in expected)
    assert "path    file name, from the folder pets/files" in said
    fit(cli, "c.yaml", "--data.num_workers", 0)


# Texts


def films(i: int) -> str:
    return f"{FILMS[i % 4]} {'again and again ' * (i % 5)}number {i}"


def write_texts(kind: str, folder: Path) -> Path:
    """40 texts of two classes."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Callable[[int], object]] = {"review": films, "mood": lambda i: ["good", "bad"][i % 2]}
    rows = [{name: f(i) for name, f in columns.items()} for i in range(40)]
    path = folder / f"films{kind}"
    if kind in (".csv", ".tsv"):
        return table(path, 40, columns, {".csv": ",", ".tsv": "\t"}[kind])
    if kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        for i, row in enumerate(rows):
            file = folder / "films" / str(row["mood"]) / f"{i}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(row["review"]))
        return folder / "films"
    return path


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet", "folders"])
def test_texts(cli: Cli, tmp_path: Path, kind: str) -> None:
    path = write_texts(kind, tmp_path / "data")
    config, said = init(cli, path)
    data = config["data"]
    assert data["class_path"] == "TextData"
    assert config["model"]["class_path"] == "TextCNNModule"
    assert data["init_args"]["train"] == path.relative_to(tmp_path).as_posix()
    if kind != "folders":
        assert data["init_args"].items() >= {"text": "review", "target": "mood"}.items()
    assert "2 classes: bad 20, good 20" in said
    fit(cli, "c.yaml")


def test_texts_without_header_in_three_files(cli: Cli, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        lines = [f"{films(i)} of {name}\t{i % 2}" for i in range(30)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines))
    config, said = init(cli, ".")
    arguments = config["data"]["init_args"]
    files = {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}
    assert arguments.items() >= {**files, "header": ["text", "label"], "text": "text", "target": "label"}.items()
    assert "val_fraction" not in arguments
    assert "beside train.tsv: dev.tsv (val), test.tsv (test), by their names" in said
    fit(cli, "c.yaml")


def test_texts_with_plain_quotes_in_a_file_without_ending(cli: Cli, tmp_path: Path) -> None:
    lines = ["Label\tSMS", *(f'{"spam" if i % 8 == 0 else "ham"}\t"{films(i)}' for i in range(320))]
    (tmp_path / "Collection").write_text("\n".join(lines))
    config, said = init(cli, "Collection")
    arguments = config["data"]["init_args"]
    assert arguments.items() >= {"separator": "\t", "quoting": False, "text": "SMS", "target": "Label"}.items()
    assert arguments["balance"] == "class_weights"
    assert "ham 280, spam 40" in said
    fit(cli, "c.yaml")


def test_several_columns_of_text_and_a_language_without_spaces(cli: Cli, tmp_path: Path) -> None:
    rows = [
        {"标题": f"这是第{i}部非常好看的电影", "正文": f"我很喜欢{i}里面的演员和音乐", "label": i % 2}
        for i in range(40)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "电影.parquet")
    config, _ = init(cli, "电影.parquet")
    assert config["data"]["init_args"].items() >= {"text": ["标题", "正文"], "tokenizer": "bpe"}.items()
    fit(cli, "c.yaml")


# Tables


@pytest.mark.parametrize(
    ("target", "expected", "said"),
    [
        (lambda i: ["yes", "no"][i % 2], {}, "2 classes: no 40, yes 40"),
        (lambda i: "abc"[i % 3], {}, "3 classes: a 27, b 27, c 26"),
        (lambda i: i % 4, {}, "4 classes: 0 20"),
        (lambda i: round(i * 1.37, 2), {"target_type": "regression"}, "a number"),
        (lambda i: ["a", "b;c", "b", "c;a", "c"][i % 5], {"label_separator": ";"}, "3 labels: c 48, a 32, b 32"),
        (lambda i: "" if i == 3 else i % 2, {"drop_missing_target": True}, "2 classes: 0 40, 1 39"),
    ],
)
def test_a_table(
    cli: Cli, tmp_path: Path, target: Callable[[int], object], expected: dict[str, Any], said: str
) -> None:
    people(tmp_path / "people.csv", target)
    config, out = init(cli, "people.csv")
    arguments = config["data"]["init_args"]
    assert config["data"]["class_path"] == "TabularData"
    assert config["model"]["class_path"] == "MLPModule"
    assert arguments.items() >= {"train": "people.csv", "target": "target", **expected}.items()
    assert ("target_type" in arguments) == ("target_type" in expected)
    assert set(arguments["ignore"]) == {"PersonId", "name", "constant"}
    assert said in out
    assert "2 numbers: age, height" in out
    assert "1 date: joined" in out
    assert "# split_by: {time: joined}" in Path("c.yaml").read_text()
    fit(cli, "c.yaml")


def test_a_test_table_without_target_is_predicted(cli: Cli, tmp_path: Path) -> None:
    people(tmp_path / "titanic" / "train.csv", lambda i: i % 2, name="Lived")
    lines = (tmp_path / "titanic" / "train.csv").read_text().splitlines()
    (tmp_path / "titanic" / "test.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (tmp_path / "titanic" / "sample_submission.csv").write_text("PersonId,Lived\n1,0\n")
    config, said = init(cli, "titanic")
    arguments = config["data"]["init_args"]
    assert arguments.items() >= {"train": "titanic/train.csv", "predict": "titanic/test.csv", "target": "Lived"}.items()
    assert arguments["id_column"] == "PersonId"  # it names the rows of the predictions
    assert "test" not in arguments
    assert "the only column that the test table lacks" in said
    fit(cli, "c.yaml")
    predicted = cli("predict", "--config", "c.yaml", "--output", "p.csv")
    assert predicted.code == 0, predicted.err
    rows = Path("p.csv").read_text().splitlines()
    assert [row.partition(",")[0].strip('"') for row in rows[1:]] == [str(i) for i in range(1, 81)]


def test_a_table_with_semicolons_in_another_encoding(cli: Cli, tmp_path: Path) -> None:
    rows = ["Größe;Ort;Klasse", *(f"{i % 7}.5;Köln {i % 3};{'jaß' if i % 2 else 'neiß'}" for i in range(60))]
    (tmp_path / "werte.csv").write_bytes("\n".join(rows).encode("cp1252"))
    config, _ = init(cli, "werte.csv", "--target", "Klasse")
    arguments = config["data"]["init_args"]
    assert arguments.items() >= {"separator": ";", "encoding": "cp1252", "target": "Klasse"}.items()
    fit(cli, "c.yaml")


def test_a_table_without_header(cli: Cli, tmp_path: Path) -> None:
    rows = [f"{i % 7}.5,{i * 31 % 11}.25,{'setosa' if i % 2 else 'virginica'}" for i in range(60)]
    (tmp_path / "iris.csv").write_text("\n".join(rows))
    config, _ = init(cli, "iris.csv")
    arguments = config["data"]["init_args"]
    assert arguments.items() >= {"header": ["column_1", "column_2", "label"], "target": "label"}.items()
    fit(cli, "c.yaml")


def test_numbers_of_a_sample_are_those_of_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulmen.cli.init.sample._WHOLE", 16_000)
    table(Path("a.csv"), 30_000, {"x": lambda i: i * 37 % 1013 / 10, "label": lambda i: int(i % 10 == 0)})
    config, said = init(cli, "a.csv")
    assert "a table: about 30,000 rows, of which " in said
    assert "2 classes: 0 27,000, 1 3,000" in said
    assert config["data"]["init_args"]["batch_size"] == 256
    assert config["data"]["init_args"]["balance"] == "class_weights"


def test_columns_that_say_who_trains(cli: Cli, tmp_path: Path) -> None:
    columns: dict[str, Callable[[int], object]] = {
        "x": lambda i: i * 37 % 11 / 10,
        "fold": lambda i: ["train", "train", "valid", "test"][i % 4],
        "label": lambda i: i // 4 % 2,
    }
    table(tmp_path / "a.csv", 80, columns)
    config, _ = init(cli, "a.csv")
    arguments = config["data"]["init_args"]
    assert arguments["split_by"] == {"column": "fold"}
    assert not {"val_fraction", "test_fraction"} & set(arguments)
    fit(cli, "c.yaml")


def test_a_person_stays_on_one_side_if_asked_for(cli: Cli, tmp_path: Path) -> None:
    columns: dict[str, Callable[[int], object]] = {
        "patient": lambda i: i // 5,
        "x": lambda i: i * 37 % 11 / 10,
        "label": lambda i: i % 2,
    }
    table(tmp_path / "a.csv", 100, columns)
    init(cli, "a.csv")
    text = Path("c.yaml").read_text()
    assert "    # split_by: {group: patient}" in text
    Path("c.yaml").write_text(text.replace("# split_by", "split_by"))
    fit(cli, "c.yaml")


def test_every_kind_of_config_is_parsed(cli: Cli, tmp_path: Path) -> None:
    images(tmp_path / "pets", ["cat", "dog"], each=3)
    files = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)] * 5
    parquet.write_table(pa.table({"file": files, "label": ["a", "b"] * 15}), tmp_path / "pets" / "list.parquet")
    write_texts(".csv", tmp_path)
    people(tmp_path / "people.csv", lambda i: i * 0.3)
    for path in ("pets", "pets/list.parquet", "films.csv", "people.csv"):
        out = f"{path.replace('/', '_').partition('.')[0]}.yaml"
        assert cli("init", path, "--out", out).code == 0
        written = yaml.safe_load(Path(out).read_text())
        printed = cli("fit", "--config", out, "--print_config")
        assert printed.code == 0, printed.err
        parsed = yaml.safe_load(printed.out)
        for part in ("model", "data"):
            given = written[part]["init_args"]
            assert {key: parsed[part]["init_args"][key] for key in given} == given


# Names that YAML could misread

ODD = [
    "a: b",
    "#no",
    "*star",
    "yes",
    "null",
    "123",
    "- x",
    "{a}",
    "C:\\x",
    "naïve 'q'",
    '"',
    "@at",
    "%p",
    "[b]",
    "",
    " x",
    "é\u2028ü",
    "~",
]


def odd_table(target: str, more: list[str]) -> None:
    texts = {name: [f"row {i} of {name} {i * 7}" for i in range(40)] for name in more}
    numbers = [i * 37 % 11 / 10 for i in range(40)]
    parquet.write_table(pa.table({"x": numbers, **texts, target: ["a", "b"] * 20}), "odd.parquet")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_columns(cli: Cli, name: str) -> None:
    odd_table(name, [f"{name}2"])
    config, _ = init(cli, "odd.parquet", "--target", name)
    arguments = config["data"]["init_args"]
    assert arguments["target"] in (name, [name])
    assert arguments["ignore"] == [f"{name}2"]


@pytest.mark.parametrize("name", ["[b]", "- x", "null"])
def test_odd_names_are_parsed(cli: Cli, name: str) -> None:
    others = [other for other in ODD if other != name][-12:]
    odd_table(name, others)
    config, _ = init(cli, "odd.parquet", "--target", name)
    printed = cli("fit", "--config", "c.yaml", "--print_config")
    assert printed.code == 0, printed.err
    parsed = yaml.safe_load(printed.out)["data"]["init_args"]
    assert {key: parsed[key] for key in config["data"]["init_args"]} == config["data"]["init_args"]
    assert parsed["ignore"] == others


@pytest.mark.parametrize("name", ["my photos: 2024", "#1", "*", "yes", "- a", "größe", "a'b"])
def test_odd_names_of_folders(cli: Cli, tmp_path: Path, name: str) -> None:
    images(tmp_path / name, ["cat", "dog: 1"], each=1)
    config, _ = init(cli, name)
    assert config["data"]["init_args"]["root"] == name


def test_data_elsewhere_have_an_absolute_path(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "pets", ["cat", "dog"], each=4)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config, _ = init(cli, "../pets")
    assert config["data"]["init_args"]["root"] == str(tmp_path / "pets")
