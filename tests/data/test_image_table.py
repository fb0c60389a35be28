"""Images that a table names."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from fulmen.core.errors import ConfigError, DataError
from fulmen.core.restoring import restoring
from fulmen.data import ImageTableData


def images(folder: Path, count: int = 20) -> list[str]:
    """``img/0.png``, ``img/1.png``... whose red is their number."""
    (folder / "img").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (12, 10), (i, 100, 200)).save(folder / "img" / f"{i}.png")
    return [f"img/{i}.png" for i in range(count)]


def table(path: Path, columns: dict[str, list[Any]]) -> str:
    """Writes columns as a table, by the ending."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    else:
        mark = {".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix]
        rows = [list(columns), *zip(*columns.values(), strict=True)]
        path.write_text("".join(mark.join(map(str, row)) + "\n" for row in rows))
    return str(path)


def make(file: str, **options: Any) -> ImageTableData:
    return ImageTableData(file, **{"image_size": 8, "num_workers": 0, "batch_size": 64, **options})


def ready(file: str, **options: Any) -> ImageTableData:
    data = make(file, **options)
    data.setup("fit")
    return data


def targets(data: ImageTableData) -> dict[str, Any]:
    """The target of each image, by its name."""
    return {
        name: target
        for split, dataset in data.datasets.items()
        if split != "predict"
        for name, target in zip(
            map(str, data.identity(split, torch.arange(len(dataset)))),
            dataset.targets.tolist(),  # type: ignore[attr-defined]
            strict=True,
        )
    }


def names(data: ImageTableData, split: str) -> list[object]:
    return list(data.identity(split, torch.arange(len(data.datasets[split]))))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_one_label(tmp_path: Path, ending: str) -> None:
    paths = images(tmp_path)
    labels = ["cat" if i % 2 else "ant" for i in range(20)]
    data = make(table(tmp_path / f"labels{ending}", {"path": paths, "label": labels}))
    assert (data.class_names, data.num_outputs, data.target_type) == (["ant", "cat"], 1, "binary")
    assert data.input_shape == [3, 8, 8]
    data.setup("fit")
    assert targets(data) == {path: i % 2 for i, path in enumerate(paths)}
    assert set(data.datasets) == {"train", "val", "test"}
    (batch,) = data.train_dataloader()
    reds = [int(str(name)[4:-4]) for name in data.identity("train", batch.index)]
    assert batch.inputs[:, 0].float().mean((1, 2)).tolist() == reds


def test_classes_that_are_numbers(tmp_path: Path) -> None:
    paths = images(tmp_path)
    data = ready(table(tmp_path / "labels.parquet", {"path": paths, "label": [10 * (i % 3) + 1 for i in range(20)]}))
    assert (data.class_names, data.num_outputs, data.target_type) == (["1", "11", "21"], 3, "multiclass")
    assert targets(data) == {path: i % 3 for i, path in enumerate(paths)}


def test_several_labels(tmp_path: Path) -> None:
    paths = images(tmp_path)
    labels = ["|".join(n for n, step in (("round", 2), ("red", 3), ("big", 5)) if i % step == 0) for i in range(20)]
    data = ready(table(tmp_path / "labels.csv", {"path": paths, "label": labels}), label_separator="|")
    assert (data.class_names, data.num_outputs, data.target_type) == (["big", "red", "round"], 3, "multilabel")
    assert targets(data) == {p: [int(i % 5 == 0), int(i % 3 == 0), int(i % 2 == 0)] for i, p in enumerate(paths)}


def test_numbers(tmp_path: Path) -> None:
    paths = images(tmp_path)
    data = ready(table(tmp_path / "labels.csv", {"path": paths, "age": [i + 0.5 for i in range(20)]}), target="age")
    assert (data.class_names, data.num_outputs, data.target_type) == (None, 1, "regression")
    assert targets(data) == {path: i + 0.5 for i, path in enumerate(paths)}
    whole = table(tmp_path / "whole.csv", {"path": paths, "age": list(range(20))})
    assert make(whole, target="age", target_type="regression").target_type == "regression"


def test_root_and_columns(tmp_path: Path) -> None:
    paths = images(tmp_path / "elsewhere")
    (tmp_path / "tables").mkdir()
    file = table(tmp_path / "tables" / "t.csv", {"file": paths, "kind": ["a", "b"] * 10})
    data = ready(file, path="file", target="kind", root=str(tmp_path / "elsewhere"))
    assert sorted(targets(data)) == sorted(paths)
    absolute = table(
        tmp_path / "a.csv", {"path": [tmp_path / "elsewhere" / p for p in paths], "label": ["a", "b"] * 10}
    )
    assert len(targets(ready(absolute))) == 20


def test_tables_of_the_splits(tmp_path: Path) -> None:
    paths = images(tmp_path)
    (tmp_path / "more").mkdir()
    rows = {"train.csv": range(10), "val.csv": range(10, 14), "more/test.csv": range(14, 20)}
    files = [
        table(
            tmp_path / name,
            {
                "path": [f"../{paths[i]}" if "/" in name else paths[i] for i in numbers],
                "label": ["cat" if name == "val.csv" else ["ant", "bee", "cat"][i % 3] for i in numbers],
            },
        )
        for name, numbers in rows.items()
    ]
    data = ready(files[0], val_table=files[1], test_table=files[2])
    assert [len(data.datasets[s]) for s in ("train", "val", "test")] == [10, 4, 6]
    assert data.datasets["val"].targets.tolist() == [2] * 4  # type: ignore[attr-defined]
    assert names(data, "val") == paths[10:14]
    assert data.class_names == ["ant", "bee", "cat"]
    assert data.datasets["test"].__getitems__([0]).inputs[0, 0, 0, 0] == 14
    table(tmp_path / "val.csv", {"path": paths[:2], "label": ["cat", "bea"]})
    with pytest.raises(
        DataError, match=r"val\.csv:3: unknown class 'bea'; did you mean 'bee'\? Allowed: ant, bee, cat"
    ):
        ready(files[0], val_table=files[1])


def test_validation_is_taken_from_the_training_table_alone(tmp_path: Path) -> None:
    paths = images(tmp_path)
    train = table(tmp_path / "train.csv", {"path": paths[:16], "label": ["a", "b"] * 8})
    test = table(tmp_path / "test.csv", {"path": paths[16:], "label": ["a", "b"] * 2})
    data = ready(train, test_table=test, val_fraction=0.4)
    assert names(data, "test") == paths[16:]
    assert 0 < len(names(data, "val")) < 16


def test_split_by_columns(tmp_path: Path) -> None:
    paths = images(tmp_path, 40)
    file = table(
        tmp_path / "t.csv",
        {
            "path": paths,
            "label": ["a", "b"] * 20,
            "person": [f"p{i // 4}" for i in range(40)],
            "taken": [f"2026-01-{1 + i % 20:02}" for i in range(40)],
        },
    )
    number = {path: i for i, path in enumerate(paths)}
    by_person = ready(file, split_by={"group": "person"}, val_fraction=0.3, test_fraction=0.2)
    people = [{number[str(n)] // 4 for n in names(by_person, s)} for s in by_person.datasets]
    assert sum(map(len, people)) == len(set.union(*people)) == 10
    given = table(tmp_path / "g.csv", {"path": paths, "label": ["a"] * 20 + ["b"] * 20, "side": ["train", "test"] * 20})
    assert [number[str(n)] % 2 for n in names(ready(given, split_by={"column": "side"}), "test")] == [1] * 20
    by_time = ready(file, split_by={"time": "taken"}, val_fraction=0.2, test_fraction=0.2)
    assert {number[str(n)] % 20 for n in names(by_time, "test")} == {16, 17, 18, 19}
    by_name = ready(file, split_by={"group": r"re:(\d)\.png"}, val_fraction=0.3, test_fraction=0.3)
    digits = [{number[str(n)] % 10 for n in names(by_name, s)} for s in by_name.datasets]
    assert sum(map(len, digits)) == 10
    with pytest.raises(DataError, match=r"t\.csv: unknown column 'persona'"):
        make(file, split_by={"group": "persona"})


def test_without_a_header(tmp_path: Path) -> None:
    paths = images(tmp_path)
    (tmp_path / "list.txt").write_text("".join(f"{p} {'ab'[i % 2]}\n" for i, p in enumerate(paths)))
    data = ready(str(tmp_path / "list.txt"), separator=" ", header=["path", "label"])
    assert targets(data) == {path: i % 2 for i, path in enumerate(paths)}


def test_names_of_classes(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", {"path": images(tmp_path), "label": ["b", "a"] * 10})
    data = ready(file, class_names=["b", "a"])
    assert data.class_names == ["b", "a"]
    assert targets(data)["img/0.png"] == 0
    with pytest.raises(DataError, match=r"t\.csv:3: unknown class 'a'"):
        make(file, class_names=["b", "c"])


def test_missing_files_are_named_with_their_row(tmp_path: Path) -> None:
    paths = images(tmp_path)
    (tmp_path / "img" / "3.png").unlink()
    (tmp_path / "img" / "7.png").unlink()
    file = table(tmp_path / "t.csv", {"path": paths, "label": ["a", "b"] * 10})
    message = r"2 of 20 files are not there: .*t\.csv:5 img/3\.png, .*t\.csv:9 img/7\.png\. .*set data\.root"
    with pytest.raises(DataError, match=message):
        ready(file)
    rows = "".join(json.dumps({"path": p, "label": "ab"[i % 2]}) + "\n" for i, p in enumerate(paths))
    (tmp_path / "t.jsonl").write_text(rows)
    with pytest.raises(DataError, match=r"t\.jsonl:4 img/3\.png"):
        ready(str(tmp_path / "t.jsonl"))


def test_files_that_are_no_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = images(tmp_path)
    (tmp_path / "img" / "3.png").write_text("<html>")
    file = table(tmp_path / "t.csv", {"path": paths, "label": ["a", "b"] * 10})
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        data = ready(file)
    assert "Skipped 1 file(s)" in caplog.text
    assert targets(data) == {path: i % 2 for i, path in enumerate(paths) if i != 3}
    assert list(data.skipped) == [tmp_path / "img" / "3.png"]
    with pytest.raises(DataError, match=r"1 files are no images that can be read: img/3\.png; remove"):
        ready(file, on_bad_file="error")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"path": ["img/0.png", ""], "label": ["a", "b"]}, {}, r"t\.csv:3: there is no path in column 'path'"),
        ({"path": ["img/0.png", "img/1.png"], "label": ["a", ""]}, {}, r"no label, the first is .*t\.csv:3"),
        ({"path": ["img/0.png", "img/1.png"], "kind": ["a", "b"]}, {}, r"t\.csv: unknown column 'label'"),
        ({"file": ["img/0.png", "img/1.png"], "label": ["a", "b"]}, {}, r"t\.csv: unknown column 'path'"),
        ({"path": ["img/0.png", "img/1.png"], "label": ["a", "a"]}, {}, r"at least 2 classes"),
        (
            {"path": ["img/0.png", "img/1.png"], "label": ["1.5", "old"]},
            {"target_type": "regression"},
            r"t\.csv:3: the target 'old' is no finite number",
        ),
        ({"path": ["img/0.png", "img/1.png"], "label": ["1.5", "nan"]}, {"target_type": "regression"}, r"t\.csv:3"),
        ({"path": ["img/0.png", "img/1.png"], "label": ["a", "b"]}, {"root": "nowhere"}, "root: there is no folder"),
    ],
)
def test_defects(tmp_path: Path, columns: dict[str, list[Any]], options: dict[str, Any], message: str) -> None:
    images(tmp_path, 2)
    file = table(tmp_path / "t.csv", columns)
    with pytest.raises(DataError, match=message):
        ready(file, **options)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        make(str(tmp_path / "gone.csv"))


def test_predict(tmp_path: Path) -> None:
    """Also where the training table and its images are gone."""
    paths = images(tmp_path)
    file = table(tmp_path / "t.csv", {"path": paths, "label": ["a", "b", "c", "d"] * 5})
    new = table(tmp_path / "new.csv", {"path": paths[::-1][:3]})
    data = ready(file, predict_table=new)
    assert data.predicted_split == "predict"
    (batch,) = data.predict_dataloader()
    assert batch.targets is None
    assert data.identity("predict", batch.index) == paths[::-1][:3]
    with pytest.raises(ConfigError, match="predict_table: there is a predict_root too"):
        make(file, predict_table=new, predict_root=str(tmp_path))
    saved = {"ImageTableData": data.state_dict()}
    Path(file).unlink()
    with restoring(saved):
        for options in ({"predict_table": new}, {"predict_root": str(tmp_path / "img")}):
            again = ready(file, **options)
            assert (again.class_names, again.num_outputs) == (["a", "b", "c", "d"], 4)
            assert list(again.datasets) == ["predict"]
        with pytest.raises(DataError, match="there is no file"):
            make(file)
    shutil.rmtree(tmp_path / "img")
    images(tmp_path, 1)
    with pytest.raises(DataError, match=r"3 of 3 files are not there: .*new\.csv:2 img/19\.png"), restoring(saved):
        ready(file, predict_table=new)


def test_folds(tmp_path: Path) -> None:
    paths = images(tmp_path, 40)
    data = make(table(tmp_path / "t.csv", {"path": paths, "label": ["a", "b"] * 20}), test_fraction=0.2)
    seen: list[object] = []
    for fold in range(4):
        view = data.view(fold, 4)
        view.setup("fit")
        seen += names(view, "val")
    assert sorted(map(str, seen + names(view, "test"))) == sorted(paths)


@pytest.mark.parametrize("cache", [None, "ram", "disk"])
def test_trains_with_a_cache(tmp_path: Path, cache: Any) -> None:
    file = table(tmp_path / "t.csv", {"path": images(tmp_path), "label": ["a", "b"] * 10})
    data = ready(file, cache=cache, val_fraction=0.0, test_fraction=0.0)
    for _ in range(2):
        (batch,) = data.train_dataloader()
        assert batch.inputs[:, 0].float().mean((1, 2)).tolist() == batch.index.tolist()
