"""Tables as a datamodule."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from pyarrow import csv, parquet
from sklearn.preprocessing import StandardScaler
from tests.conftest import Cli
from torch import nn

from fulmen.core.errors import CheckpointError, ConfigError, DataError
from fulmen.data import ArrayData, TabularData
from fulmen.modules import MLPModule, SupervisedModule
from fulmen.testing import check_datamodule

ROWS = 300
Save = Callable[..., Path]


def columns(rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    """A table in which `colour` and `size` say the label."""
    rng = np.random.default_rng(seed)
    size = rng.normal(10, 3, rows)
    colour = rng.choice(["red", "green", "blue"], rows)
    label = np.where((size > 10) ^ (colour == "red"), "good", "bad")
    day = np.datetime64("2020-01-01") + rng.integers(0, 700, rows)
    return {
        "id": [f"s{i}" for i in range(rows)],
        "size": [None if i % 17 == 3 else round(float(x), 3) for i, x in enumerate(size)],
        "colour": [None if i % 29 == 5 else str(c) for i, c in enumerate(colour)],
        "grade": [int(g) for g in rng.integers(1, 5, rows)],
        "day": [str(d) for d in day],
        "member": [bool(b) for b in rng.integers(0, 2, rows)],
        "same": ["x"] * rows,
        "label": [str(x) for x in label],
    }


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def made(name: str = "train.csv", table: dict[str, Any] | None = None, **changes: Any) -> Path:
        path = tmp_path / name
        values = {k: v for k, v in {**(table or columns()), **changes}.items() if v is not None}
        (parquet.write_table if path.suffix == ".parquet" else csv.write_csv)(pa.table(values), path)
        return path

    return made


def ready(path: Path, target: Any = "label", **options: Any) -> TabularData:
    data = TabularData(str(path), target, **options)
    data.setup("fit")
    return data


def all_of(data: TabularData, split: str) -> Any:
    dataset: Any = data.datasets[split]
    return dataset.__getitems__(list(range(len(dataset))))


def test_facts_and_inputs(save: Save) -> None:
    table = columns()
    data = TabularData(str(save()), "label")
    assert (data.target_type, data.num_outputs, data.class_names) == ("binary", 1, ["bad", "good"])
    # size and its gap, day in three parts, member; then codes of colour (unknown, 3, missing) and grade (unknown, 4)
    assert (data.input_shape, data.categories) == ([8], [5, 5])
    kinds = {c.name: c.kind for c in data.columns}
    assert kinds == {
        "id": "ignore",
        "size": "number",
        "colour": "category",
        "grade": "category",
        "day": "date",
        "member": "boolean",
        "same": "ignore",
    }
    data.setup("fit")
    rows: Any = data.datasets["train"].places.numpy()  # type: ignore[attr-defined]
    batch = all_of(data, "train")
    size = np.array([np.nan if v is None else v for v in table["size"]])[rows]
    gap = np.isnan(size)
    expected = StandardScaler().fit_transform(np.where(gap, np.nanmedian(size), size)[:, None])[:, 0]
    np.testing.assert_allclose(batch.inputs[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(batch.inputs[:, 1], gap)
    codes = {"blue": 1, "green": 2, "red": 3, None: 4}
    assert batch.inputs[:, 6].tolist() == [codes[table["colour"][r]] for r in rows]
    assert batch.inputs[:, 7].tolist() == [table["grade"][r] for r in rows]
    assert batch.targets.tolist() == [int(table["label"][r] == "good") for r in rows]
    sizes = {split: len(d) for split, d in data.datasets.items()}
    assert sizes == {"train": 211, "val": 45, "test": 44}


def test_one_hot(save: Save) -> None:
    codes, flags = ready(save()), ready(save(), category_encoding="one_hot")
    assert flags.categories is None
    assert flags.input_shape == [6 + 4 + 4]
    first, second = all_of(codes, "val"), all_of(flags, "val")
    torch.testing.assert_close(first.inputs[:, :6], second.inputs[:, :6])
    for i, start in ((6, 6), (7, 10)):
        flag = second.inputs[:, start : start + 4]
        code = first.inputs[:, i].long()
        assert flag.sum(1).tolist() == (code > 0).long().tolist()
        assert (flag.argmax(1) + 1)[code > 0].tolist() == code[code > 0].tolist()


def poison(table: dict[str, Any], rows: set[int]) -> dict[str, Any]:
    """Other values of all columns but the target in some rows: extreme, of other types, new, missing."""
    bad = {"size": "1e30", "colour": "POISON", "grade": "99", "day": "2999-12-31", "member": "yes", "same": "y"}
    made = {name: [str(v) if v is not None else None for v in values] for name, values in table.items()}
    for name, value in bad.items():
        made[name] = [value if i in rows else v for i, v in enumerate(made[name])]
    return made


@pytest.mark.parametrize("encoding", ["embedding", "one_hot"])
def test_poisoned_validation_and_test_rows_change_nothing_that_is_learned(save: Save, encoding: Any) -> None:
    clean = ready(save(), category_encoding=encoding, balance="sampler")
    rows = {int(r) for s in ("val", "test") for r in clean.datasets[s].places}  # type: ignore[attr-defined]
    dirty = ready(save("dirty.csv", poison(columns(), rows)), category_encoding=encoding, balance="sampler")
    assert dirty.learned == clean.learned
    assert (dirty.input_shape, dirty.categories) == (clean.input_shape, clean.categories)
    torch.testing.assert_close(all_of(dirty, "train"), all_of(clean, "train"))
    assert not torch.equal(all_of(dirty, "val").inputs, all_of(clean, "val").inputs)
    assert torch.equal(all_of(dirty, "val").targets, all_of(clean, "val").targets)
    # and the other way round: the test would see it if the training rows were poisoned
    train = {int(r) for r in clean.datasets["train"].places}  # type: ignore[attr-defined]
    assert ready(save("both.csv", poison(columns(), set(list(train)[:9])))).learned != clean.learned


def test_poisoned_files_of_their_own_change_nothing_that_is_learned(save: Save) -> None:
    extra = columns(40, seed=1)
    train, val = save(), save("val.csv", extra)
    clean = ready(train, val=str(val), test=str(val))
    dirty = save("dirty.csv", poison(extra, set(range(40))))
    assert ready(train, val=str(dirty), test=str(dirty)).learned == clean.learned


def test_files_of_their_own(save: Save) -> None:
    val, test = save("val.csv", columns(30, seed=1)), save("test.tsv", columns(20, seed=2))
    data = TabularData(str(save()), "label", val=str(val), test=str(test), separator=",")
    data.setup("fit")
    assert {split: len(d) for split, d in data.datasets.items()} == {"train": 300, "val": 30, "test": 20}
    assert data.identity("test", torch.tensor([0, 19])) == [0, 19]
    assert data.identity("val", torch.tensor([3])) == [3]
    only_test = ready(save(), test=str(val))
    assert {split: len(d) for split, d in only_test.datasets.items()} == {"train": 256, "val": 44, "test": 30}


def test_types_and_ignore(save: Save) -> None:
    codes = [f"{i % 5:02d}" for i in range(ROWS)]
    data = TabularData(str(save(zip=codes)), "label", types={"zip": "category", "grade": "number"}, ignore=["day"])
    learned = {c["name"]: c for c in data.learned["columns"]}
    assert learned["zip"]["values"] == ["00", "01", "02", "03", "04"]
    assert learned["grade"]["kind"] == "number"
    assert "day" not in learned
    with pytest.raises(ConfigError, match="types: unknown column 'grad'; did you mean 'grade'"):
        TabularData(str(save()), "label", types={"grad": "number"})
    with pytest.raises(ConfigError, match="ignore: unknown column 'dya'; did you mean 'day'"):
        TabularData(str(save()), "label", ignore=["dya"])
    with pytest.raises(ConfigError, match="types: 'label' is the target"):
        TabularData(str(save()), "label", types={"label": "category"})
    with pytest.raises(DataError, match=r"train\.csv:\d+: column 'colour' holds '(red|green|blue)', and should be a"):
        TabularData(str(save()), "label", types={"colour": "number"})


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (["no", "yes", "no"], {}, ("binary", 1, ["no", "yes"], [0, 1, 0])),
        ([10, 9, 8], {}, ("multiclass", 3, ["8", "9", "10"], [2, 1, 0])),
        ([1.0, 0.0, 1.0], {}, ("binary", 1, ["0", "1"], [1, 0, 1])),
        ([True, False, True], {}, ("binary", 1, ["false", "true"], [1, 0, 1])),
        (["b", "a", "c"], {"class_names": ["c", "b", "a"]}, ("multiclass", 3, ["c", "b", "a"], [1, 2, 0])),
        ([0, 1, 1], {"class_names": ["died", "lived"]}, ("binary", 1, ["died", "lived"], [0, 1, 1])),
        (["1", "0", "1"], {"target_type": "multiclass"}, ("multiclass", 2, ["0", "1"], [1, 0, 1])),
        ([1, 2, 3], {"target_type": "regression"}, ("regression", 1, None, [1, 2, 3])),
        ([0.5, 2.0, 3.0], {}, ("regression", 1, None, [0.5, 2, 3])),
        (["a|b", "", "b"], {"label_separator": "|"}, ("multilabel", 2, ["a", "b"], [[1, 1], [0, 0], [0, 1]])),
        (
            ["a b", "c", "b"],
            {"label_separator": " "},
            ("multilabel", 3, list("abc"), [[1, 1, 0], [0, 0, 1], [0, 1, 0]]),
        ),
    ],
)
def test_targets(save: Save, values: list[Any], options: dict[str, Any], expected: Any) -> None:
    path = save("t.csv", {"x": np.arange(60) * 0.5, "y": (values * 20)})
    data = ready(path, "y", **options)
    kind, outputs, names, targets = expected
    assert (data.target_type, data.num_outputs, data.class_names) == (kind, outputs, names)
    batch = all_of(data, "train")
    assert batch.targets.dtype == (torch.float32 if kind == "regression" else torch.int64)
    rows = data.datasets["train"].places.tolist()  # type: ignore[attr-defined]
    assert batch.targets.tolist() == [targets[r % 3] for r in rows]


def test_many_whole_numbers_are_a_regression(save: Save) -> None:
    path = save("t.csv", {"x": np.arange(600) * 0.5, "y": np.arange(600) % 30})
    assert TabularData(str(path), "y").target_type == "regression"
    assert TabularData(str(path), "y", target_type="multiclass").num_outputs == 30


def test_several_target_columns(save: Save) -> None:
    table = {
        "x": np.arange(60) * 0.5,
        "a": np.arange(60) * 0.1,
        "b": np.arange(60),
        "c": [0, 1] * 30,
        "d": [1, 1, 0] * 20,
    }
    data = ready(save("t.csv", table), ["a", "b"])
    assert (data.target_type, data.num_outputs, data.class_names) == ("regression", 2, ["a", "b"])
    assert all_of(data, "train").targets.shape == (42, 2)
    data = ready(save("t.csv", table), ["c", "d"])
    assert (data.target_type, data.num_outputs, data.class_names) == ("multilabel", 2, ["c", "d"])
    rows = data.datasets["train"].places.tolist()  # type: ignore[attr-defined]
    assert all_of(data, "train").targets.tolist() == [[r % 2, int(r % 3 < 2)] for r in rows]


def test_a_regression_without_validation_samples(save: Save) -> None:
    table = {"x": np.arange(60) * 0.5, "a": np.arange(60) * 0.1, "b": np.arange(60)}
    for target in ("a", ["a", "b"]):
        data = ready(save("t.csv", table), target, val_fraction=0.0)
        assert set(data.datasets) == {"train", "test"}
        assert len(data.datasets["train"]) == 51


def test_missing_targets(save: Save) -> None:
    labels = [None if i in (7, 8) else x for i, x in enumerate(columns()["label"])]
    path = save(label=labels)
    with pytest.raises(
        DataError, match=r"target: 2 rows have no 'label', the first is .*train\.csv:9; .*`drop_missing_t"
    ):
        TabularData(str(path), "label")
    data = ready(path, drop_missing_target=True)
    rows = sorted(int(r) for d in data.datasets.values() for r in d.places)  # type: ignore[attr-defined]
    assert rows == [r for r in range(ROWS) if r not in (7, 8)]


ERRORS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"target": "lable"}, r"train\.csv: unknown column 'lable'; did you mean 'label'"),
    ({"id": None}, {"target": "label", "id_column": "idd"}, "unknown column 'idd'"),
    ({}, {"target": "label", "header": False}, "unknown column 'label'"),
    ({}, {"target": []}, "target: .* is not allowed"),
    ({}, {"target": "same"}, "needs at least 2 classes; the training split holds 'x' alone"),
    (
        {},
        {"target": "label", "target_type": "regression"},
        r"\.csv:\d+: target 'label' holds '\w+', which is no number",
    ),
    (
        {},
        {"target": "grade", "target_type": "binary"},
        "binary needs 2 classes; the training split holds 4: 1, 2, 3, 4",
    ),
    ({}, {"target": "label", "target_type": "multilabel"}, "multilabel needs `label_separator`"),
    ({}, {"target": "label", "class_names": ["good", "evil"]}, r"\.csv:2: unknown class 'bad'"),
    ({}, {"target": "label", "class_names": ["bad", "good", "ugly"]}, "training split has no sample of class 'ugly'"),
    ({}, {"target": "label", "class_names": ["bad", "bad"]}, "names one class twice"),
    ({}, {"target": ["grade", "same"]}, "target 'same' holds 'x', which is no number"),
    ({}, {"target": ["grade", "member"], "target_type": "binary"}, "binary has one label; these targets are several"),
    ({}, {"target": "label", "id_column": "identity"}, "unknown column 'identity'"),
    ({}, {"target": "label", "min_frequency": 0}, "min_frequency: 0 is out of range"),
    ({}, {"target": "label", "split_by": {"column": "grade"}}, "column 'grade'.*unknown split"),
    ({"size": [1.0, 2.0, float("inf")] * 100}, {"target": "label"}, r"\.csv:4: column 'size' is infinite"),
    (
        {"id": ["a", None] * 150},
        {"target": "label", "id_column": "id"},
        "id_column: 150 rows have no 'id', the first is",
    ),
]


@pytest.mark.parametrize(("changes", "options", "message"), ERRORS)
def test_mistakes(save: Save, changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        ready(save(**changes), **options)


def test_a_table_without_inputs(save: Save) -> None:
    path = save("t.csv", {"name": [f"n{i}" for i in range(40)], "y": [0, 1] * 20})
    with pytest.raises(DataError, match=r"no column is left to learn from:\ncolumn +type"):
        TabularData(str(path), "y")


def test_a_class_that_only_validation_has(save: Save) -> None:
    extra = columns(30, seed=1)
    extra["label"][4] = "ugly"
    with pytest.raises(DataError, match=r"val\.csv:6: unknown class 'ugly'. Allowed: bad, good .the classes of the"):
        ready(save(), val=str(save("val.csv", extra)))


def test_files_that_do_not_go_together(save: Save) -> None:
    fewer = save("val.csv", columns(30, seed=1), size=None, grade=None, gradee=list(range(30)))
    with pytest.raises(DataError, match=r"val\.csv lacks 2 columns: 'size', 'grade' \(did you mean 'gradee'\?\)"):
        ready(save(), val=str(fewer))
    text = save("val.csv", columns(30, seed=1), size=[*["1.5"] * 12, "tall", *["2"] * 17])
    with pytest.raises(DataError, match=r"val\.csv:14: column 'size' holds 'tall', and should be a number"):
        ready(save(), val=str(text))
    no_id = save("val.csv", columns(30, seed=1), id=None, same=None)
    ready(save(), val=str(no_id))  # columns that are ignored may be missing


def test_predicting(save: Save) -> None:
    new = columns(25, seed=3)
    order = ["member", "extra", "grade", "day", "colour", "size"]
    new["extra"], new["colour"][2], new["grade"][3] = ["?"] * 25, "purple", 99
    path = save("new.parquet", {name: new[name] for name in order})
    data = ready(save(), predict=str(path))
    batch = all_of(data, "predict")
    assert batch.targets is None
    assert batch.inputs.shape == (25, 8)
    assert batch.inputs[2, 6] == batch.inputs[3, 7] == 0
    assert data.identity("predict", torch.tensor([2, 3])) == [2, 3]


def test_a_name_column_that_only_the_predicted_file_lacks(save: Save) -> None:
    new = save("new.csv", columns(5, seed=3), id=None)
    with pytest.raises(DataError, match=r"new\.csv: unknown column 'id'"):
        ready(save(), id_column="id", predict=str(new))


def test_decimal_commas(save: Save, tmp_path: Path) -> None:
    rows = "".join(f"{i},5;{i % 2}\n" for i in range(60))
    (tmp_path / "comma.csv").write_text("x;y\n" + rows)
    data = TabularData(str(tmp_path / "comma.csv"), "y", separator=";", decimal=",")
    assert [(c.name, c.kind, c.why) for c in data.columns] == [("x", "number", "0.5 to 59.5")]


def test_identities(save: Save, tmp_path: Path) -> None:
    data = ready(save(), id_column="id", predict=str(save("new.csv", columns(5, seed=3), label=None)))
    rows = data.datasets["val"].places.tolist()  # type: ignore[attr-defined]
    assert data.identity("val", torch.tensor([0, 2])) == [f"s{rows[0]}", f"s{rows[2]}"]
    assert data.identity("predict", torch.tensor([4])) == ["s4"]
    for options in ({"id_column": "id"}, {}):
        first = ready(save(), **options)
        first.write_split(tmp_path / "split.csv")
        again = ready(save(), split_by={"file": str(tmp_path / "split.csv")}, split_seed=5, **options)
        for split in ("train", "val", "test"):
            torch.testing.assert_close(all_of(again, split), all_of(first, split))


def test_split_columns_are_no_inputs(save: Save) -> None:
    person, side = [f"p{i // 6}" for i in range(ROWS)], ["train", "val", "test"] * 100
    path = save(person=person, side=side)
    data = ready(path, split_by={"group": "person"}, ignore=["side"])
    assert "person" not in {c["name"] for c in data.learned["columns"]}
    found = {s: {person[int(r)] for r in d.places} for s, d in data.datasets.items()}  # type: ignore[attr-defined]
    assert not found["train"] & (found["val"] | found["test"])
    data = ready(path, split_by={"column": "side"}, ignore=["person"])
    assert "side" not in {c["name"] for c in data.learned["columns"]}
    assert {len(d) for d in data.datasets.values()} == {100}
    data = ready(path, split_by={"time": "day"}, ignore=["person", "side"])
    assert "day" in {c["name"] for c in data.learned["columns"]}
    day = {s: [columns()["day"][int(r)] for r in d.places] for s, d in data.datasets.items()}  # type: ignore[attr-defined]
    assert max(day["train"]) <= min(day["val"])
    assert max(day["val"]) <= min(day["test"])


def test_folds_learn_from_their_own_rows(save: Save) -> None:
    data = ready(save())
    folds = [data.view(k, 3) for k in range(3)]
    for fold in folds:
        assert fold.input_shape == data.input_shape
        fold.setup("fit")
        inputs = all_of(fold, "train").inputs
        torch.testing.assert_close(inputs[:, 0].mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    assert folds[0].learned != folds[1].learned
    val = [set(f.datasets["val"].places.tolist()) for f in folds]  # type: ignore[attr-defined]
    assert len(set.union(*val)) == sum(map(len, val)) == ROWS - len(data.datasets["test"])
    assert len(data.datasets["train"]) == 211


def test_folds_before_setup_share_what_was_read(save: Save) -> None:
    path = save()
    data = TabularData(str(path), "label")
    before = copy.deepcopy(data.learned)
    path.unlink()
    fold = data.view(1, 5)
    assert fold.learned != before
    fold.setup("fit")
    data.setup("fit")  # the fold has let go of its own columns only
    assert data.learned == before
    assert len(fold.datasets["val"]) == 51


def test_the_columns_are_shown_at_fit_only(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("fulmen.data.tables.rank_zero_info", said.append)
    data = TabularData(str(save()), "label")
    data.setup("validate")
    assert said == []
    data.setup("fit")
    data.setup("fit")
    assert len(said) == 1
    assert "id      ignore          0       211  text that is different in most rows" in said[0]
    assert "target label: binary, 2 classes" in said[0]


@pytest.fixture
def trained(save: Save, cli: Cli, tmp_path: Path) -> Path:
    """A config in whose run the training file is gone."""
    path = tmp_path / "table.yaml"
    config = {
        "model": {"class_path": "MLPModule", "init_args": {"hidden_features": [16]}},
        "data": {"class_path": "TabularData", "init_args": {"train": str(save()), "target": "label"}},
        "trainer": {"max_epochs": 1, "enable_model_summary": False},
    }
    path.write_text(yaml.safe_dump(config))
    result = cli("fit", "--config", path)
    assert result.code == 0, result.err
    return path


def test_predicting_without_the_training_file(trained: Path, save: Save, cli: Cli, tmp_path: Path) -> None:
    new = columns(25, seed=3)
    new["colour"][2], new["size"][3] = "purple", None
    predict, test = save("new.csv", new, label=None, same=None), save("test.csv", columns(40, seed=4))
    before = cli("predict", "--config", trained, "--data.predict", predict, "--output", tmp_path / "before.csv")
    assert before.code == 0, before.err
    (tmp_path / "train.csv").unlink()
    after = cli("predict", "--config", trained, "--data.predict", predict, "--output", tmp_path / "after.csv")
    assert after.code == 0, after.err
    assert (tmp_path / "after.csv").read_text() == (tmp_path / "before.csv").read_text()
    assert csv.read_csv(tmp_path / "after.csv")["sample"].to_pylist() == list(range(25))
    scored = cli("test", "--config", trained, "--data.test", test)
    assert scored.code == 0, scored.err
    assert "accuracy" in scored.out
    gone = cli("test", "--config", trained)
    assert gone.code == 2
    assert "there is no file" in gone.error


def test_predicting_from_python(trained: Path, save: Save, tmp_path: Path) -> None:
    (tmp_path / "train.csv").rename(tmp_path / "moved.csv")
    saved = tmp_path / "runs" / "table" / "version_0" / "checkpoints" / "best.ckpt"
    predict = str(save("new.csv", columns(25, seed=3)))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    model = MLPModule.load_from_checkpoint(saved)
    data = TabularData.from_checkpoint(saved, train="gone.csv", target="label", predict=predict)
    assert data.class_names == ["bad", "good"]
    first: Any = trainer.predict(model, datamodule=data)
    other = TabularData(str(tmp_path / "moved.csv"), "label", predict=predict, split_seed=9)
    assert other.learned != data.learned
    second: Any = trainer.predict(model, datamodule=other, ckpt_path=saved, weights_only=True)
    assert other.learned == data.learned
    torch.testing.assert_close(first, second)
    with pytest.raises(CheckpointError, match="nothing that ArrayData learned"):
        ArrayData.from_checkpoint(saved, inputs=torch.zeros(2, 2), targets=[0, 1])


def test_a_checkpoint_of_other_data_is_refused(trained: Path, cli: Cli, save: Save) -> None:
    result = cli("predict", "--config", trained, "--data.target", "grade", "--data.predict", save("new.csv"))
    assert result.code == 2
    assert "target: ['grade'] is given, the checkpoint was trained on ['label']" in result.error
    lacking = save("new.csv", columns(25, seed=3), size=None, Size=[1.5] * 25)
    result = cli("predict", "--config", trained, "--data.predict", lacking)
    assert result.code == 2
    assert "unknown column 'size'; did you mean 'Size'" in result.error


class Plain(SupervisedModule):
    """A model that embeds nothing."""

    def build_network(self) -> nn.Module:
        return nn.Linear(self.input_shape[0], self.num_outputs)


def test_a_model_that_embeds_nothing_is_told_what_to_do(save: Save, tmp_path: Path) -> None:
    trainer = Trainer(max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False,
                      enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path)  # fmt: skip
    data = TabularData(str(save()), "label")
    model = Plain(input_shape=data.input_shape, num_outputs=1, target_type="binary")
    with pytest.raises(ConfigError, match=r"takes no categories; use MLPModule, .* `data\.category_encoding: one_hot`"):
        trainer.fit(model, datamodule=data)


def test_it_learns(save: Save, tmp_path: Path) -> None:
    data = TabularData(str(save("train.csv", columns(1200))), "label", batch_size=64)
    facts = {n: getattr(data, n) for n in ("input_shape", "num_outputs", "class_names", "target_type", "categories")}
    torch.manual_seed(0)
    model = MLPModule([32], optimizer={"name": "adam", "lr": 1e-2}, **facts)
    trainer = Trainer(
        max_epochs=12, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    assert trainer.test(model, datamodule=data, verbose=False)[0]["test/accuracy"] > 0.9


def test_pieces_are_not_shared_between_copies(save: Save) -> None:
    data = ready(save())
    twin = copy.deepcopy(data)
    torch.testing.assert_close(all_of(twin, "val"), all_of(data, "val"))


@cache
def _file() -> str:
    path = Path(tempfile.mkdtemp()) / "table.csv"
    csv.write_csv(pa.table(columns(120)), path)
    return str(path)


class Shapes(TabularData):
    """A table that is made up.

    Args:
        batch_size: As the parent's.
        **kwargs: Arguments of TabularData.
    """

    def __init__(self, batch_size: int = 16, **kwargs: Any) -> None:
        super().__init__(_file(), "label", batch_size=batch_size, **kwargs)


test_the_kit = check_datamodule(Shapes)
test_the_kit_with_one_hot = check_datamodule(Shapes, options={"category_encoding": "one_hot"})
