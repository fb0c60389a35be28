"""`lightning check`, and the same checks before `fit`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Cli

from fulmen.cli.findings import WIDTH, short_table, table
from fulmen.data.findings import Finding

Write = Callable[..., Path]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Clean class folders."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
                image.save(tmp_path / "pets" / split / name / f"{i}.png")
    return tmp_path / "pets"


def on_pets(root: Path, **more: Any) -> dict[str, Any]:
    return {
        "model": {"class_path": "CNNModule", "init_args": {"channels": [4]}},
        "data": {"class_path": "ImageFolderData", "init_args": {"root": str(root), "image_size": 32, "num_workers": 0}},
        **more,
    }


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def test_clean_data(cli: Cli, write_config: Write, pets: Path) -> None:
    result = cli("check", "--config", write_config(**on_pets(pets)))
    assert (result.code, result.err) == (0, "")
    assert result.out == "samples: 16 train, 8 val\nnothing was found\n"


def test_warnings_end_with_0(cli: Cli, write_config: Write, pets: Path) -> None:
    shutil.copy(pets / "train/cat/1.png", pets / "val/cat/again.png")
    result = cli("check", "--config", write_config(**on_pets(pets)))
    assert result.code == 0
    for part in ("warning", "leak", "where: val/cat/again.png = train/cat/1.png", "fix: ", "1 warning"):
        assert part in result.out


def test_errors_end_with_1(cli: Cli, write_config: Write, pets: Path) -> None:
    cut(pets / "train/dog/2.png")
    result = cli("check", "--config", write_config(**on_pets(pets)))
    assert result.code == 1
    assert "train/dog/2.png: " in result.out
    assert result.out.endswith("1 error\n")


def test_json_has_every_place(cli: Cli, write_config: Write, pets: Path) -> None:
    for i in range(6):
        cut(pets / f"train/dog/{i}.png")
    result = cli("check", "--config", write_config(**on_pets(pets)), "--format", "json")
    assert result.code == 1
    found = json.loads(result.out)
    assert found["samples"] == {"train": 16, "val": 8}
    assert (found["errors"], found["warnings"], found["notes"]) == (1, 0, 0)
    (finding,) = found["findings"]
    assert (finding["check"], finding["severity"], finding["count"]) == ("corrupt_files", "error", 6)
    assert [place.partition(":")[0] for place in finding["where"]] == [f"train/dog/{i}.png" for i in range(6)]
    assert finding["fix"] == "repair or remove them"


def test_data_that_cannot_be_read_are_an_error_of_the_data(cli: Cli, write_config: Write, pets: Path) -> None:
    for path in (pets / "val/dog").iterdir():
        path.unlink()
    result = cli("check", "--config", write_config(**on_pets(pets)), "--format", "json")
    assert result.code == 1
    (finding,) = json.loads(result.out)["findings"]
    assert finding["check"] == "unusable"
    assert "holds no image" in finding["what"]


def test_options_of_the_data(cli: Cli, write_config: Write, pets: Path, tmp_path: Path) -> None:
    path = write_config(**on_pets(tmp_path / "elsewhere"))
    assert cli("check", "--config", path, "--data.root", pets).code == 0
    result = cli("check", "--data", "IrisData")
    assert (result.code, result.err) == (0, "")
    assert "row 142 = row 101" in result.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["data: nothing is given", "--config FILE"]),
        (["--data", "IrisDate"], ["IrisDate", "IrisData"]),
        (["--data", "IrisData", "--data.batchsize", "3"], ["batchsize", "batch_size"]),
        (["--data", "IrisData", "--model.activation", "relu"], ["--model.activation", "--data.KEY"]),
        (["--data", "IrisData", "--verbose"], ["--verbose", "--format"]),
        (["--config", "none.yaml"], ["no config file 'none.yaml'"]),
        (["--data", "my_plain.Plain"], ["Plain is no SupervisedDataModule"]),
    ],
)
def test_mistakes_end_with_2(cli: Cli, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    (tmp_path / "my_plain.py").write_text(
        "from lightning.pytorch import LightningDataModule\nclass Plain(LightningDataModule):\n    pass\n"
    )
    result = cli("check", *arguments)
    assert result.code == 2
    for part in parts:
        assert part in result.error


def test_help(cli: Cli) -> None:
    result = cli("check", "--help")
    assert result.code == 0
    for part in ("--format", "Exit codes", "check: stop | report | skip"):
        assert part in " ".join(result.out.split())
    assert "check " in cli("--help").out


def test_help_of_all_commands_imports_no_torch() -> None:
    code = "import sys; from fulmen.cli.main import main; main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# fit


def test_fit_says_nothing_of_clean_data(cli: Cli, write_config: Write) -> None:
    result = cli("fit", "--config", write_config())  # iris has a flower twice: a note
    assert result.code == 0
    assert "lightning check" not in result.out


def test_errors_stop_fit_before_training(cli: Cli, write_config: Write, pets: Path, tmp_path: Path) -> None:
    cut(pets / "train/dog/2.png")
    path = write_config(**on_pets(pets))
    result = cli("fit", "--config", path, "--data.batch_size", "4")
    assert result.code == 2
    for part in ("the data have 1 error", "where: train/dog/2.png", "fix: repair or remove them", "--check report"):
        assert part in result.error
    assert f"lightning check --config {path} --data.batch_size 4" in result.error
    assert not list(tmp_path.glob("runs/*/version_*"))


def test_errors_may_be_reported_or_not_looked_for(cli: Cli, write_config: Write, pets: Path) -> None:
    cut(pets / "val/dog/2.png")
    quick = ["--trainer.limit_val_batches", "0", "--early_stopping", "null", "--checkpoint", "null"]
    quick += ["--test_after_fit", "false"]
    reported = cli("fit", "--config", write_config(**on_pets(pets, check="report")), *quick)
    assert reported.code == 0
    assert "corrupt_files  1 image file cannot be decoded" in reported.out
    skipped = cli("fit", "--config", write_config(**on_pets(pets)), "--check", "skip", *quick)
    assert skipped.code == 0
    assert "corrupt_files" not in skipped.out


def test_other_words_for_check_are_a_mistake(cli: Cli, write_config: Write) -> None:
    result = cli("fit", "--config", write_config(check="ignore"))
    assert result.code == 2
    for part in ("check", "'ignore'", "stop", "report", "skip"):
        assert part in result.error


def test_warnings_are_a_short_table(cli: Cli, write_config: Write) -> None:
    data = {"class_path": "TooFew", "init_args": {}}
    Path("too_few.py").write_text(
        "import torch\nfrom fulmen.data import ArrayData\nclass TooFew(ArrayData):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(torch.rand(100, 3), torch.tensor([0] * 60 + [1] * 38 + [2] * 2), **kwargs)\n"
    )
    data["class_path"] = "too_few.TooFew"
    path = write_config(data=data)
    for more in ([], ["--trainer.fast_dev_run", "true"], ["--ckpt_path", "last"]):  # and when a run is resumed
        result = cli("fit", "--config", path, *more)
        assert result.code == 0, result.err
        assert f"the data have 1 warning; `lightning check --config {path}` says where, and what to do" in result.out
        assert result.out.count("rare_classes  1 class has fewer than 5 training samples\n") == 1


def test_a_plain_datamodule_trains_unchecked(cli: Cli, write_config: Write) -> None:
    Path("plain.py").write_text(
        "import torch\nfrom lightning.pytorch import LightningDataModule\n"
        "class Plain(LightningDataModule):\n    num_outputs, input_shape, class_names = 3, [4], ['a', 'b', 'c']\n"
        "    target_type = 'multiclass'\n"
        "    def train_dataloader(self):\n"
        "        return torch.utils.data.DataLoader([(torch.rand(4), i % 3) for i in range(30)], 10)\n"
        "    val_dataloader = train_dataloader\n"
    )
    path = write_config(data={"class_path": "plain.Plain"}, test_after_fit=False)
    assert cli("fit", "--config", path).code == 0


@pytest.mark.slow
def test_two_processes_look_once_and_stop_together(pets: Path, write_config: Write, tmp_path: Path) -> None:
    shutil.copy(pets / "train/cat/1.png", pets / "val/cat/again.png")
    path = write_config(**on_pets(pets, trainer={"max_epochs": 1, "enable_model_summary": False}))
    command = [Path(sys.executable).with_name("lightning"), "fit", "--config", path, "--trainer.accelerator", "cpu"]
    command += ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.enable_progress_bar", "false"]
    environ = {k: v for k, v in os.environ.items() if k not in ("FULMEN_RUN_FOLDER", "PL_GLOBAL_SEED")}

    def fit() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environ, timeout=240)

    warned = fit()
    assert warned.returncode == 0, warned.stderr
    assert warned.stdout.count("the data have 1 warning") == 1
    cut(pets / "train/dog/2.png")
    stopped = fit()
    assert stopped.returncode == 2
    assert stopped.stderr.count("the data have 1 error") == 1
    assert "GLOBAL_RANK: 1" not in stopped.stderr  # the other process was never started


# The tables


def test_tables_fit_the_width() -> None:
    long = "a sentence that goes on and on " * 8
    place = "/very/long/folder/" + "name" * 30 + ".jpg"
    findings = [
        Finding("near_duplicates", "warning", long, (place, place + "2", "c = d", "e"), 12345, long),
        Finding("leak", "error", "short", (), 1, ""),
    ]
    for text in (table(findings), short_table(findings)):
        lines = text.splitlines()
        assert all(len(line) <= WIDTH for line in lines)
        assert any(long.split()[-1] in line for line in lines)
    assert "and 12,342 more" in table(findings)
    assert "12,345" in table(findings)
