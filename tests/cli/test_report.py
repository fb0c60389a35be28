"""`lightning report`, and the report at the end of `fit`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Cli
from tests.evaluation.made import sklearn_scores

from fulmen.evaluation import Predictions

Write = Callable[..., Path]
QUICK = ("--resamples", "20", "--samples", "3")


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def text(page: Path) -> str:
    return re.sub(r"<[^>]+>", " ", page.read_text())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    age, sex = random.normal(40, 12, 200).round(), random.integers(0, 2, 200)
    target = (age + 10 * sex + random.normal(0, 8, 200) > 45).astype(int)
    rows = [
        f"{a},{'mf'[s]},name <{i}>,{'rich' if t else 'poor'}"
        for i, (a, s, t) in enumerate(zip(age, sex, target, strict=True))
    ]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["age,sex,name,income", *rows]) + "\n")
    return path


def tabular(write: Write, people: Path, **more: Any) -> Path:
    data = {"class_path": "TabularData", "init_args": {"train": str(people), "target": "income", "ignore": ["name"]}}
    return write(data=data, trainer={"max_epochs": 3, "enable_model_summary": False}, **more)


def test_a_report_of_a_run(cli: Cli, write_config: Write, people: Path, tmp_path: Path) -> None:
    config = tabular(write_config, people)
    assert cli("fit", "--config", config).code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    result = cli("report", "--ckpt_path", "runs/small/version_0", "--slices", "sex, age,name", *QUICK)
    assert result.code == 0, result.err
    assert "test samples are right (95 % interval" in result.out
    assert "runs/small/version_0/report_test/report.html" in result.out
    folder = run / "report_test"
    files = {path.name for path in folder.iterdir()}
    assert files >= {"report.html", "metrics.json", "per_class.csv", "confusion.csv", "slices.csv", "mistakes.csv"}
    found = read(folder)
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    assert values == pytest.approx(sklearn_scores(Predictions.read(folder / "predictions.csv")), rel=1e-6)
    tested = json.loads((run / "test_metrics.json").read_text())
    assert values["accuracy"] == pytest.approx(tested["test/accuracy"])
    assert {part["column"] for part in found["slices"]} == {"sex", "age", "name"}
    page = text(folder / "report.html")
    for said in ("small/version_0: test samples", "took no part in the training", str(people), "hidden_features",
                 "3 epochs in", "chosen by val/loss", "name &lt;", "lightning report --ckpt_path"):  # fmt: skip
        assert said in page
    used = json.loads((run / "run.json").read_text())["test_set_used"]
    assert [use["by"] for use in used] == ["fit", "report"]


def test_splits_places_and_ways_to_name_a_checkpoint(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    config = write_config()
    cli("fit", "--config", config)
    assert cli("report", "--config", config, "--split", "val", *QUICK).code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    assert "the numbers flatter" in text(run / "report_val" / "report.html")
    assert len(json.loads((run / "run.json").read_text())["test_set_used"]) == 1  # fit alone
    best = run / "checkpoints" / "best.ckpt"
    assert cli("report", "--ckpt_path", best, "--split", "train", "--out", "mine", *QUICK).code == 0
    assert "how well it remembers" in text(tmp_path / "mine" / "report.html")
    assert read(tmp_path / "mine")["checkpoint"] == str(best)
    first = read(run / "report_val")
    cli("report", "--config", config, "--split", "val", "--ckpt_path", "last", *QUICK)
    assert read(run / "report_val")["checkpoint"] != first["checkpoint"]


def test_without_a_test_split_validation_is_reported(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    config = write_config(data={"class_path": "DiabetesData", "init_args": {"test_fraction": 0.0}})
    cli("fit", "--config", config)
    result = cli("report", "--config", config, *QUICK)
    assert "On average, predictions of " in result.out
    assert "report_val/report.html" in result.out
    assert read(tmp_path / "runs" / "small" / "version_0" / "report_val")["task"] == "regression"


def test_images_are_shown(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "pets" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(path)
    data = {"class_path": "ImageFolderData", "init_args": {"root": "pets", "image_size": 12, "num_workers": 0}}
    config = write_config(data=data, model={"class_path": "MLPModule", "init_args": {"hidden_features": [4]}})
    assert cli("fit", "--config", config).code == 0
    result = cli("report", "--config", config, "--slices", "folder,re:/([0-9])", *QUICK)
    assert result.code == 0, result.err
    folder = tmp_path / "runs" / "small" / "version_0" / "report_test"
    with Image.open(folder / "mistakes.png") as sheet:
        assert sheet.width > 300
    assert "the worst mistakes as pictures" in (folder / "report.html").read_text()


def test_texts_are_quoted_and_divided_by_length(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    for split, n in (("train", 80), ("val", 20), ("test", 20)):
        rows = [f"{'good' if i % 2 else 'bad'} film {'very ' * (i % 5)}\t{i % 2}" for i in range(n)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    files = {split: f"{split}.tsv" for split in ("train", "val", "test")}
    config = write_config(
        data={"class_path": "TextData", "init_args": files},
        model={"class_path": "TextMLPModule", "init_args": {"hidden_features": [4]}},
        check="skip",
    )
    assert cli("fit", "--config", config).code == 0
    result = cli("report", "--ckpt_path", "runs/small/version_0", "--slices", "tokens", *QUICK)
    assert result.code == 0, result.err
    page = text(tmp_path / "runs" / "small" / "version_0" / "report_test" / "report.html")
    assert "film" in page
    assert "% of train" in page  # the shares of all splits, though files are read apart


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--slices", "sexx"], ["slices: unknown column 'sexx'; did you mean 'sex'", "age, income, name, sex"]),
        (["--split", "vall"], ["split: unknown split 'vall'; did you mean 'val'"]),
        (["--resamples", "0"], ["resamples: 0 is out of range"]),
        (["--samples", "-1"], ["samples: -1 is out of range"]),
        (["--ckpt_path", "none"], ["none is an untrained model"]),
        (["--ckpt_path", "nowhere"], ["ckpt_path", "'nowhere'"]),
        (["--slices", '"sex, age"'], ["slices: unknown column 'sex, age'"]),
        (["--slice", "sex"], ["slice: there is no such option; did you mean --slices?", "lightning report --help"]),
        (["--out", "people.csv/x"], ["out: 'people.csv/x' cannot be written"]),
    ],
)
def test_mistakes(
    cli: Cli, write_config: Write, people: Path, tmp_path: Path, options: list[str], said: list[str]
) -> None:
    config = tabular(write_config, people)
    cli("fit", "--config", config)
    result = cli("report", "--config", config, *QUICK, *options)
    assert result.code == 2
    for words in said:
        assert words in result.error
    assert not (tmp_path / "runs" / "small" / "version_0" / "report_test").exists()


def test_a_config_without_a_run(cli: Cli, write_config: Write) -> None:
    assert "train first" in cli("report", "--config", write_config()).error


def test_fit_ends_with_a_report(cli: Cli, write_config: Write, people: Path, tmp_path: Path) -> None:
    config = tabular(write_config, people, report={"slices": ["sex"], "resamples": 20, "samples": 2})
    result = cli("fit", "--config", config)
    assert result.code == 0, result.err
    assert "report: runs/small/version_0/report_test/report.html" in result.out
    run = tmp_path / "runs" / "small" / "version_0"
    written = read(run / "report_test")
    assert written["metrics"]["accuracy"]["value"] == pytest.approx(
        json.loads((run / "test_metrics.json").read_text())["test/accuracy"]
    )
    assert not (run / "test_predictions.csv").exists()
    again = cli("report", "--ckpt_path", run, "--slices", "sex", *QUICK, "--out", "again")
    assert again.code == 0
    assert read(tmp_path / "again")["metrics"] == written["metrics"]
    saved = cli("fit", "--config", run / "config.yaml")  # what a run saved runs again
    assert saved.code == 0, saved.err


def test_a_report_that_cannot_be_made_stops_before_training(
    cli: Cli, write_config: Write, people: Path, tmp_path: Path
) -> None:
    config = tabular(write_config, people)
    assert "unknown column 'sexx'" in cli("fit", "--config", config, "--report", "{slices: [sexx]}").error
    assert "resamples" in cli("fit", "--config", config, "--report", "{resamples: 0}").error
    assert not (tmp_path / "runs" / "small").exists() or not any((tmp_path / "runs" / "small").iterdir())


def test_the_test_set_rests_where_the_closing_test_is_off(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    config = write_config(report={"resamples": 5}, test_after_fit=False)
    assert cli("fit", "--config", config).code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    assert (run / "report_val").is_dir()
    assert not json.loads((run / "run.json").read_text()).get("test_set_used")


@pytest.mark.slow
def test_two_processes_write_one_report(write_config: Write, tmp_path: Path) -> None:
    config = write_config(report={"resamples": 20}, test_after_fit=True)
    script, two = Path(sys.executable).with_name("lightning"), ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    environ = {k: v for k, v in os.environ.items() if k not in ("FULMEN_RUN_FOLDER", "PL_GLOBAL_SEED")}
    ended = subprocess.run(
        [script, "fit", "--config", config, "--trainer.accelerator", "cpu", *two],
        cwd=tmp_path, env=environ, timeout=240, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    run = tmp_path / "runs" / "small" / "version_0"
    found = read(run / "report_test")
    tested = json.loads((run / "test_metrics.json").read_text())
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(tested["test/accuracy"])
    samples = Predictions.read(run / "report_test" / "predictions.csv").samples
    assert len(samples) == len(set(samples)) == found["samples"]
