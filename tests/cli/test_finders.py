"""`lightning find-lr` and `lightning find-batch-size`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.conftest import Cli

from fulmen.cli import find_lr
from fulmen.workflows import RateSweep

Write = Callable[..., Path]
CPU = ("--trainer.accelerator", "cpu")


def test_find_lr(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    before = path.read_text()
    result = cli("find-lr", "--config", path, *CPU, "--steps", "60")
    assert result.code == 0, result.err
    assert "suggestion: optimizer.lr " in result.out
    assert "lowest loss" in result.out
    assert result.out.endswith("plot: find-lr.png\n")
    with Image.open("find-lr.png") as plot:
        assert plot.size == (1050, 600)
        assert len(plot.convert("RGB").getcolors(1_000_000)) > 50
    assert path.read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["find-lr.png", "small.yaml"]  # no run, no checkpoint


def test_the_suggestion_is_written_and_trains(cli: Cli, write_config: Write) -> None:
    path = write_config()
    path.write_text(f"# a comment\n{path.read_text()}")
    result = cli("find-lr", "--config", path, *CPU, "--out", "plots/lr.svg", "--write", "--seed_everything", "1")
    assert result.code == 0, result.err
    assert Path("plots/lr.svg").read_text().startswith("<?xml")
    written = result.out.splitlines()[-1]
    assert written.startswith(f"written: {path}: model.init_args.optimizer.lr: ")
    config = yaml.safe_load(path.read_text())
    optimizer = config["model"]["init_args"]["optimizer"]
    assert optimizer == {"name": "adam", "lr": float(written.rpartition(" ")[2])}
    assert path.read_text().startswith("# a comment\n")
    assert cli("fit", "--config", path).code == 0


def test_find_batch_size(cli: Cli, write_config: Write) -> None:
    path = write_config()
    result = cli("find-batch-size", "--config", path, *CPU, "--steps", "2", "--write", "new.yaml", "--out", "b.png")
    assert result.code == 0, result.err
    sizes = [line.split()[0] for line in result.out.splitlines()[1:8]]
    assert sizes == ["1", "2", "4", "8", "16", "32", "64"]  # 105 training flowers
    assert "(there are no more training samples)" in result.out
    assert Path("b.png").is_file()
    suggested = yaml.safe_load(Path("new.yaml").read_text())["data"]["init_args"]["batch_size"]
    assert f"suggestion: batch_size {suggested} " in result.out
    assert yaml.safe_load(path.read_text())["data"]["init_args"]["batch_size"] == 32


def test_sizes_of_a_run_that_has_no_data_left(cli: Cli, write_config: Write) -> None:
    result = cli("find-batch-size", "--config", write_config(), *CPU, "--steps", "1", "--highest", "2")
    assert "(larger sizes: --highest)" in result.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("find-lr", "--lowest", "1", "--highest", "0.1"), ("lowest: 1 and highest: 0.1", "0 < lowest < highest")),
        (("find-lr", "--steps", "3"), ("steps: 3 is out of range", "at least 10")),
        (("find-lr", "--out", "lr.txt"), ("out: 'lr.txt' must end in .png",)),
        (("find-lr", "--write", "lr.txt"), ("write: 'lr.txt' is no config",)),
        (
            ("find-lr", "--step", "3"),
            ("step: there is no such option; did you mean --steps?", "`lightning find-lr --help`"),
        ),
        (("find-lr", "--model.init_args.optimizer.lr", "0"), ("optimizer.lr", "give one above 0")),
        (("find-lr", "--trainer.accelerater", "cpu"), ("accelerator",)),
        (("find-lr", "--ckpt_path", "last"), ("ckpt_path: there is no checkpoint",)),
        (("find-batch-size", "--highest", "0"), ("highest: 0",)),
    ],
)
def test_mistakes(cli: Cli, write_config: Write, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    command, *options = arguments
    result = cli(command, "--config", write_config(), *CPU, *options)
    assert result.code == 2
    for part in parts:
        assert part in result.error
    assert not list(Path().glob("*.png"))


def test_a_flat_curve_has_no_suggestion_to_write(cli: Cli, write_config: Write) -> None:
    result = cli("find-lr", "--config", write_config(), *CPU, "--highest", "1e-6", "--write")
    assert result.code == 2
    assert "no suggestion: " in result.out
    assert "write: there is no suggestion to write" in result.error


def test_the_table() -> None:
    sweep = RateSweep([1e-3, 1e-2, 1e-1], [2.0, 1.0, 9.0], [2.0, 1.0, 9.0], True, 1e-3, 1e-2)
    assert find_lr.table(sweep).splitlines()[:6] == [
        "learning rate      loss",
        "      1.0e-03         2  suggestion",
        "      1.0e-02         1  lowest loss",
        "      1.0e-01         9",
        "",
        "stopped at 1.0e-01, where the loss diverges",
    ]


@pytest.mark.parametrize("command", ["find-lr", "find-batch-size"])
def test_help(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    assert "--write [FILE]" in result.out


@pytest.mark.slow
def test_two_processes_find_together(write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    options = [*CPU, "--trainer.devices", "2", "--trainer.strategy", "ddp", "--steps", "20", "--write"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lightning")), "find-lr", "--config", str(path), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("learning rate      loss") == 1
    assert done.stdout.count("written: ") == 1
