"""What is known of samples beside inputs and targets, in the order of the data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, DatasetData, ImageFolderData, ImageTableData, TabularData, TextData

N = 40


def names_of(data: Any, split: str) -> list[str]:
    dataset = data.datasets[split]
    rows = getattr(dataset, "rows", torch.arange(len(dataset)))
    return [str(name) for name in data.identity(split, rows)]


def test_arrays() -> None:
    site = np.array([f"s{i}" for i in range(N)])
    data = ArrayData(torch.rand(N, 3), torch.arange(N) % 2, columns={"site": site})
    data.setup("fit")
    assert data.sample_columns("val") == ["site"]
    assert data.sample_values("val", ["site"])["site"].tolist() == [f"s{name}" for name in names_of(data, "val")]
    with pytest.raises(ConfigError, match="slices: unknown column 'sit' of ArrayData; did you mean 'site'"):
        data.sample_values("val", ["sit"])
    none = ArrayData(torch.rand(N, 3), torch.arange(N) % 2)
    none.setup("fit")
    assert none.sample_columns("val") == []


def test_data_sets_of_mappings() -> None:
    items = [{"x": [float(i), 0.0], "label": i % 2, "age": i} for i in range(N)]
    data = DatasetData(items, inputs="x", target="label")
    data.setup("fit")
    assert data.sample_columns("test") == ["label", "age"]
    assert [str(a) for a in data.sample_values("test", ["age"])["age"]] == names_of(data, "test")
    tuples = DatasetData([(torch.rand(2), i % 2) for i in range(N)])
    tuples.setup("fit")
    assert tuples.sample_columns("test") == []


def table(path: Path, start: int = 0, n: int = N) -> Path:
    lines = [f"id{start + i},{i % 7}.5,{'ab'[i % 2]},note {start + i},{i % 2}" for i in range(n)]
    path.write_text("\n".join(["key,x,kind,note,y", *lines]) + "\n")
    return path


@pytest.mark.parametrize("given", [False, True])
def test_tables_also_of_columns_that_are_no_inputs(tmp_path: Path, given: bool) -> None:
    more = {"val": str(table(tmp_path / "v.csv", 100)), "test": str(table(tmp_path / "t.csv", 200))} if given else {}
    train = str(table(tmp_path / "a.csv"))
    data = TabularData(train, "y", id_column="key", ignore=["note"], types={"x": "number"}, **more)
    data.setup("fit")
    assert data.sample_columns("test") == ["key", "x", "kind", "note", "y"]
    for split in ("train", "val", "test"):
        found = data.sample_values(split, ["note", "key"])
        assert found["key"].tolist() == names_of(data, split)
        assert [f"id{note.removeprefix('note ')}" for note in found["note"]] == found["key"].tolist()
    with pytest.raises(ConfigError, match="slices: unknown column 'notes'; did you mean 'note'"):
        data.sample_values("test", ["notes"])


def test_texts_in_tables(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("text\tlabel\tauthor\n" + "".join(f"{'w ' * (i + 1)}\t{i % 2}\tauthor {i}\n" for i in range(N)))
    data = TextData(str(file))
    data.setup("fit")
    assert data.sample_columns("val") == ["tokens", "characters", "text", "label", "author"]
    found = data.sample_values("val", ["author", "tokens", "characters"])
    assert [a.removeprefix("author ") for a in found["author"]] == names_of(data, "val")
    assert found["tokens"].tolist() == [int(a.removeprefix("author ")) + 1 for a in found["author"]]
    assert (found["characters"] >= 2 * found["tokens"] - 1).all()


def test_texts_in_folders(tmp_path: Path) -> None:
    for i in range(N):
        folder = tmp_path / ("good" if i % 2 else "bad")
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.txt").write_text("w " * (i + 1))
    data = TextData(str(tmp_path))
    data.setup("fit")
    assert data.sample_columns("val") == ["tokens", "characters"]
    tokens = data.sample_values("val", ["tokens"])["tokens"]
    assert [int(Path(name).stem) + 1 for name in names_of(data, "val")] == tokens.tolist()


def images(root: Path) -> list[str]:
    names = []
    for i in range(N):
        path = root / ("cat" if i % 2 else "dog") / f"p{i % 5}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
        names.append(path.relative_to(root).as_posix())
    return names


def test_images_in_folders(tmp_path: Path) -> None:
    images(tmp_path)
    data = ImageFolderData(str(tmp_path), image_size=8, num_workers=0)
    data.setup("fit")
    assert data.sample_columns("val") == ["folder"]
    found = data.sample_values("val", ["folder", "re:/(p[0-3])/"])
    names = names_of(data, "val")
    assert found["folder"].tolist() == [name.rpartition("/")[0] for name in names]
    person = [name.split("/")[1] for name in names]
    assert found["re:/(p[0-3])/"].tolist() == [p if p < "p4" else None for p in person]
    with pytest.raises(ConfigError, match="no regular expression"):
        data.sample_values("val", ["re:("])
    with pytest.raises(ConfigError, match="unknown column 'camera'"):
        data.sample_values("val", ["camera"])


def test_images_of_a_table(tmp_path: Path) -> None:
    names = images(tmp_path)
    (tmp_path / "notes.png").write_text("no image")  # is passed over, and must not shift the rows
    rows = [f"{name},{name.split('/')[0]},camera {i}" for i, name in enumerate(names)]
    rows.insert(3, "notes.png,cat,none")
    (tmp_path / "t.csv").write_text("\n".join(["path,label,camera", *rows]) + "\n")
    data = ImageTableData(str(tmp_path / "t.csv"), image_size=8, num_workers=0)
    data.setup("fit")
    assert data.sample_columns("test") == ["path", "label", "camera", "folder"]
    found = data.sample_values("test", ["camera", "folder"])
    assert found["camera"].tolist() == [f"camera {Path(name).stem}" for name in names_of(data, "test")]
