"""What a run leaves in its folder, and that its config gives the same numbers again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import Cli, config

from fulmen.cli import environment, runs
from fulmen.cli.stored import is_fresh, predictions_of
from fulmen.core.errors import CheckpointError, DataError
from fulmen.data import IrisData
from fulmen.evaluation import scores
from fulmen.modules import MLPModule
from fulmen.workflows import collect_predictions

Write = Callable[..., Path]


def run_folder(tmp_path: Path, version: int = 0, name: str = "small") -> Path:
    return tmp_path / "runs" / name / f"version_{version}"


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_a_run_tells_what_it_was_made_with(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    activation = {"name": "fulmen-activations:snake"}
    model = {"class_path": "MLPModule", "init_args": {"hidden_features": [16], "activation": activation}}
    assert cli("fit", "--config", write_config(model=model, seed_everything=7)).code == 0
    found = read(run_folder(tmp_path) / "environment.json")
    assert found["status"] == "finished"
    assert found["name"] == "small"
    assert found["command"].startswith("lightning fit --config ")
    assert found["folder"] == str(tmp_path)
    assert found["versions"]["torch"] == str(torch.__version__)
    assert {"fulmen", "lightning", "torchmetrics", "timm", "numpy"} <= set(found["versions"])
    assert set(found["used"]) == {"fulmen-activations"}
    assert found["plugins"]["fulmen-activations"] == found["used"]["fulmen-activations"]
    assert (found["seed"], found["device"], found["processes"]) == (7, "cpu", 1)
    assert found["seconds"] > 0


def test_a_run_counts_what_it_cost(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    record = read(run_folder(tmp_path) / "run.json")
    size = 4 * 16 + 16 + 16 * 3 + 3
    assert record["status"] == "finished"
    assert record["parameters"] == {"total": size, "trainable": size}
    with (run_folder(tmp_path) / "split.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert record["samples"] == {split: splits.count(split) for split in ("train", "val", "test")}
    assert sum(record["class_counts"].values()) == record["samples"]["train"]
    best = run_folder(tmp_path) / record["best"]
    assert record["checkpoint_bytes"] == best.stat().st_size
    assert record["memory"]["cpu"] > 10**7
    assert [use["by"] for use in record["test_set_used"]] == ["fit"]
    assert cli("test", "--config", write_config(), "--ckpt_path", "best").code == 0
    assert [use["by"] for use in read(run_folder(tmp_path) / "run.json")["test_set_used"]] == ["fit", "test"]


def test_a_run_without_test_does_not_say_that_it_tested(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(), "--test_after_fit", "false").code == 0
    assert "test_set_used" not in read(run_folder(tmp_path) / "run.json")


def test_a_failed_run_says_why(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    (tmp_path / "breaking.py").write_text(
        "from fulmen import MLPModule\n\n\nclass Breaking(MLPModule):\n    def compute_loss(self, logits, targets):\n"
        "        if self.trainer.global_step:\n            raise RuntimeError('no more')\n"
        "        return super().compute_loss(logits, targets)\n"
    )
    path = write_config(model={"class_path": "breaking.Breaking", "init_args": {"hidden_features": [4]}})
    with pytest.raises(RuntimeError, match="no more"):
        cli("fit", "--config", path)
    found = read(run_folder(tmp_path) / "environment.json")
    assert (found["status"], found["error"]) == ("failed", "RuntimeError: no more")
    assert not (run_folder(tmp_path) / "run.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [(signal.SIGKILL, "running"), (signal.SIGINT, "interrupted")])
def test_a_run_that_is_ended_has_its_environment(how: int, status: str, write_config: Write, tmp_path: Path) -> None:
    path = write_config(trainer={"max_epochs": 100_000, "accelerator": "cpu"}, early_stopping=None)
    path.write_text(path.read_text() + "early_stopping: null\n")
    # what runs in the background of a shell ignores SIGINT, and hands that down
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from fulmen.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "fit", "--config", str(path)]
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + 90
            while not (run_folder(tmp_path) / "checkpoints" / "last.ckpt").is_file():
                assert process.poll() is None, (tmp_path / "said.txt").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            os.kill(process.pid, how)
            process.wait(60)
        finally:
            process.kill()
            process.wait(60)
    found = read(run_folder(tmp_path) / "environment.json")
    assert found["status"] == status
    assert "torch" in found["versions"]
    assert not (run_folder(tmp_path) / "run.json").exists()


# The same numbers again


def images(folder: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    for i in range(24):
        place = folder / "pictures" / ("dark", "light")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        values = random.integers(0, 120, (16, 16, 3)) + 120 * (i % 2)
        Image.fromarray(values.astype(np.uint8)).save(place / f"{i}.png")
    init = {
        "root": "pictures",
        "image_size": 16,
        "batch_size": 4,
        "num_workers": 2,
        "augment": ["flip", {"name": "rotate"}],
    }
    model = {"class_path": "CNNModule", "init_args": {"channels": [4], "dropout": 0.1, "metrics": ["accuracy"]}}
    return {"model": model, "data": {"class_path": "ImageFolderData", "init_args": init}}


def texts(folder: Path) -> dict[str, Any]:
    lines = [f"{'good fine great' if i % 2 else 'bad poor sad'} film number {i}\t{i % 2}" for i in range(40)]
    (folder / "texts.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    init = {"train": "texts.tsv", "text": "text", "target": "label", "batch_size": 8, "augment": ["swap"]}
    return {"model": {"class_path": "TextMLPModule"}, "data": {"class_path": "TextData", "init_args": init}}


def table(folder: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    rows = [
        f"{a:.4f},{'xyz'[b]},{a + b:.4f}" for a, b in zip(random.random(60), random.integers(0, 3, 60), strict=True)
    ]
    (folder / "table.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    init = {"train": "table.csv", "target": "y", "batch_size": 8}
    model = {"class_path": "MLPModule", "init_args": {"hidden_features": [8], "dropout": 0.2}}
    return {"model": model, "data": {"class_path": "TabularData", "init_args": init}}


def arrays(folder: Path) -> dict[str, Any]:
    model = {"class_path": "MLPModule", "init_args": {"hidden_features": [8], "dropout": 0.2, "normalization": "batch"}}
    return {"model": model, "data": {"class_path": "DigitsData", "init_args": {"batch_size": 64}}, "ema": {}}


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return found


@pytest.mark.parametrize("make", [arrays, images, texts, table])
def test_the_config_of_a_run_gives_its_numbers_bit_by_bit(
    make: Callable[[Path], dict[str, Any]], cli: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config(**{"trainer": {"max_epochs": 2}, "seed_everything": 3, **make(tmp_path)})))
    kept = ("--keep_predictions", "[val,test]")
    assert cli("fit", "--config", path, *kept).code == 0
    again = cli("fit", "--config", run_folder(tmp_path) / "config.yaml")
    assert again.code == 0
    assert "note:" not in again.out
    first, second = (run_folder(tmp_path, version) for version in (0, 1))
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    for name in ("test_metrics.json", "split.csv", "val_predictions.csv", "test_predictions.csv", "metrics.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    records = [read(run / "run.json") for run in (first, second)]
    assert records[0]["split_sha256"] == records[1]["split_sha256"]
    assert records[0]["best_epoch"] == records[1]["best_epoch"]
    # other seeds give other numbers: the comparison above could fail
    assert cli("fit", "--config", path, "--seed_everything", "4").code == 0
    assert (run_folder(tmp_path, 2) / "metrics.csv").read_bytes() != (first / "metrics.csv").read_bytes()


def test_another_environment_is_said(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    file = run_folder(tmp_path) / "environment.json"
    changed = read(file)
    changed["versions"]["torch"] = "2.0.0"
    changed["used"] = {"fulmen-activations": "0.0.9"}
    file.write_text(json.dumps(changed))
    result = cli("fit", "--config", run_folder(tmp_path) / "config.yaml")
    assert result.code == 0
    note = next(line for line in result.out.splitlines() if line.startswith("note:"))
    assert f"torch 2.0.0 (here {torch.__version__})" in note
    assert "fulmen-activations 0.0.9 (here " in note
    assert "numbers may differ" in note


def test_another_split_is_said(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config(**table(tmp_path))))
    assert cli("fit", "--config", path).code == 0
    lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join(lines[:-10]) + "\n")
    result = cli("fit", "--config", run_folder(tmp_path) / "config.yaml")
    assert "note: the split is not that of" in result.out
    assert "of its 60 samples" in result.out


def test_another_folder_is_said(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config(**table(tmp_path))))
    assert cli("fit", "--config", path).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = cli("fit", "--config", run_folder(tmp_path) / "config.yaml")
    assert result.code == 2
    assert f"was trained in {tmp_path}" in result.out
    assert "table.csv" in result.out
    with pytest.raises(DataError, match=f"was trained in {tmp_path}.*go there"):
        predictions_of(run_folder(tmp_path))


def test_differences_of_environments() -> None:
    then = {"python": "3.11.1", "cpu": "a", "gpus": ["H"], "versions": {"torch": "2.6.0"}, "git": {"commit": "a" * 40}}
    now = {"python": "3.11.1", "cpu": "b", "gpus": [], "versions": {"torch": "2.7.0"}, "git": {"commit": "b" * 40}}
    assert environment.differences(then, now) == [
        "torch 2.6.0 (here 2.7.0)",
        "processor a (here b)",
        "gpus H (here none)",
        "commit aaaaaaa (here bbbbbbb)",
    ]
    assert environment.differences(then, then) == []


def test_git_state(tmp_path: Path) -> None:
    assert environment.git_state(tmp_path) is None
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout.strip()

    git("init", "-q")
    assert environment.git_state(tmp_path) is None  # no commit yet
    (tmp_path / "a.txt").write_text("a")
    git("add", "a.txt")
    git("commit", "-q", "-m", "a")
    commit = git("rev-parse", "HEAD")
    assert environment.git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a.txt").write_text("b")
    assert environment.git_state(tmp_path) == {"commit": commit, "dirty": True}


# Loading from Python what was trained from the command line


PLUGINS = {
    "activation": {"name": "fulmen-activations:snake"},
    "regularizers": [{"name": "fulmen-regularizers:orthogonal", "weight": 1e-3}],
}


@pytest.mark.parametrize(
    ("options", "averaged"),
    [({}, {"ema": {"decay": 0.5}}), ({}, {"swa": {"start": 0.5}}), (PLUGINS, {}), (PLUGINS, {"ema": {}})],
    ids=["ema", "swa", "plugins", "plugins and ema"],
)
def test_what_was_averaged_or_had_plugins_loads_safely(
    options: dict[str, Any], averaged: dict[str, Any], cli: Cli, write_config: Write, tmp_path: Path
) -> None:
    model = {"class_path": "MLPModule", "init_args": {"hidden_features": [8], **options}}
    path = write_config(model=model, trainer={"max_epochs": 4, "enable_model_summary": False}, **averaged)
    assert cli("fit", "--config", path, "--keep_predictions", "[val]").code == 0
    run = run_folder(tmp_path)
    loaded = MLPModule.load_from_checkpoint(runs.best_of(run))
    found = collect_predictions(loaded, IrisData(batch_size=32), "val", {"accelerator": "cpu"})
    kept = predictions_of(run)
    assert found.samples == kept.samples
    assert np.array_equal(found.scores, kept.scores)


def test_a_persons_own_lightning_classes_leave_a_record_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel\n\n\n"
        "class Model(BoringModel):\n    pass\n\n\nclass Data(BoringDataModule):\n    datasets = ['of', 'its', 'own']\n"
    )
    path = tmp_path / "small.yaml"
    path.write_text(
        "model: plain.Model\ndata: plain.Data\nearly_stopping: null\ncheckpoint: {monitor: null}\n"
        "trainer: {max_epochs: 1, limit_train_batches: 2, limit_val_batches: 1, enable_model_summary: false}\n"
    )
    assert cli("fit", "--config", path, "--test_after_fit", "false").code == 0
    record = read(run_folder(tmp_path) / "run.json")
    assert record["parameters"] == {"total": 66, "trainable": 66}
    assert "samples" not in record
    assert read(run_folder(tmp_path) / "environment.json")["status"] == "finished"


# Predictions that are kept, and several checkpoints


def test_predictions_are_kept_until_the_checkpoint_changes(
    cli: Cli, write_config: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    run = run_folder(tmp_path)
    made = predictions_of(run)
    assert scores(made)["accuracy"] == pytest.approx(read(run / "run.json")["best_epoch"]["val/accuracy"])
    best = runs.best_of(run)
    assert is_fresh(run / "val_predictions.csv", best)
    with monkeypatch.context() as patched:
        patched.setattr("fulmen.cli.stored._predict", None)  # it would raise if it were called
        again = predictions_of(run)
    assert again.samples == made.samples
    assert np.array_equal(again.scores, made.scores)
    best.touch()
    assert not is_fresh(run / "val_predictions.csv", best)
    assert np.array_equal(predictions_of(run).scores, made.scores)


def test_what_fit_kept_is_what_would_be_made(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(), "--keep_predictions", "[val]").code == 0
    run = run_folder(tmp_path)
    assert is_fresh(run / "val_predictions.csv", runs.best_of(run))
    kept = predictions_of(run)
    (run / "val_predictions.csv").unlink()
    made = predictions_of(run)
    assert made.samples == kept.samples
    assert np.array_equal(made.scores, kept.scores)
    assert np.array_equal(made.targets, kept.targets)


@pytest.mark.parametrize("kind", ["texts", "table"])
def test_predictions_of_splits_that_are_files_of_their_own(kind: str, cli: Cli, tmp_path: Path) -> None:
    made = texts(tmp_path) if kind == "texts" else table(tmp_path)
    given = made["data"]["init_args"]
    lines = (tmp_path / given["train"]).read_text().splitlines()
    for split, rows in {"train": lines[1:29], "val": lines[29:35], "test": lines[35:]}.items():
        (tmp_path / f"{split}_{given['train']}").write_text("\n".join([lines[0], *rows]) + "\n")
        given[split] = f"{split}_{Path(given['train']).name}" if split != "train" else given["train"]
    (tmp_path / given["train"]).write_text((tmp_path / f"train_{given['train']}").read_text())
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config(**made)))
    assert cli("fit", "--config", path).code == 0
    run = run_folder(tmp_path)
    samples = read(run / "run.json")["samples"]
    for split in ("val", "test", "train"):
        assert len(predictions_of(run, split)) == samples[split]
    if kind == "texts":
        score = scores(predictions_of(run, "test"))["accuracy"]
        assert score == pytest.approx(read(run / "run.json")["scores"]["test/accuracy"])


def test_several_of_the_best_are_kept_by_telling_names(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(trainer={"max_epochs": 6, "enable_model_summary": False})
    assert cli("fit", "--config", path, "--checkpoint.save_top_k", "3").code == 0
    run = run_folder(tmp_path)
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    losses = {int(row["epoch"]): float(row["val/loss"]) for row in rows}
    top = sorted(losses, key=lambda epoch: losses[epoch])[:3]
    names = {f"epoch_{epoch:02d}-val_loss_{losses[epoch]:.4f}.ckpt" for epoch in top}
    assert {p.name for p in (run / "checkpoints").iterdir()} == names | {"last.ckpt"}
    best = run / "checkpoints" / f"epoch_{top[0]:02d}-val_loss_{losses[top[0]]:.4f}.ckpt"
    assert runs.best_of(run) == best
    assert read(run / "run.json")["best"] == f"checkpoints/{best.name}"
    result = cli("validate", "--config", path, "--ckpt_path", "best")
    assert best.name in result.out
    assert f"{losses[top[0]]:.4f}" in result.out


def test_the_best_is_found_in_a_copied_folder(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(trainer={"max_epochs": 4, "enable_model_summary": False})
    assert cli("fit", "--config", path, "--checkpoint.save_top_k", "2").code == 0
    run = run_folder(tmp_path)
    best = runs.best_of(run)
    for i, file in enumerate(sorted((run / "checkpoints").iterdir(), reverse=True)):  # the newest seems oldest
        os.utime(file, (i, i))
    assert runs.best_of(run) == best


def test_a_removed_best_is_said(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    runs.best_of(run_folder(tmp_path)).unlink()
    with pytest.raises(CheckpointError, match="has been removed"):
        runs.best_of(run_folder(tmp_path))


def test_a_users_pattern_makes_no_folders(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    pattern = "loss_{val/loss:.2f}"
    assert cli("fit", "--config", write_config(), "--checkpoint.filename", pattern).code == 0
    names = [p.name for p in (run_folder(tmp_path) / "checkpoints").iterdir()]
    assert len(names) == 2
    assert any(name.startswith("loss_") and name.endswith(".ckpt") for name in names)
