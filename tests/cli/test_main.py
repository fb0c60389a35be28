"""The command itself: help, version, and who owns `lightning`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Cli

from fulmen import __version__
from fulmen.cli.main import COMMANDS, main

SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize("script", ["lightning", "fulmen"])
def test_both_scripts_are_the_same_command(script: str) -> None:
    ended = subprocess.run([SCRIPTS / script, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{script} (fulmen) {__version__}\n"
    assert ended.stderr == ""


def test_help_lists_every_command(cli: Cli) -> None:
    result = cli("--help")
    assert result.code == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in result.out
        assert command.summary in result.out


def test_no_command_shows_the_help_and_is_a_mistake(cli: Cli) -> None:
    result = cli()
    assert result.code == 2
    assert "usage: lightning COMMAND" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_loaded(command: str) -> None:
    assert callable(COMMANDS[command].load())


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_help_of_a_command(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    for key in ("--early_stopping", "--checkpoint", "--logger", "--trainer.max_epochs", "--ckpt_path"):
        assert key in result.out


def test_help_of_a_class_documents_its_arguments(cli: Cli) -> None:
    result = cli("fit", "--model.help", "MLPModule")
    text = " ".join(result.out.split())
    assert result.code == 0
    assert "Width of each hidden layer" in text
    assert "Spec of the optimizer" in text  # an argument of the parent


def test_fulmen_says_who_owns_lightning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sdk = tmp_path / "site" / "lightning_sdk-1.2.3.dist-info"
    sdk.mkdir(parents=True)
    (sdk / "METADATA").write_text("Metadata-Version: 2.1\nName: lightning-sdk\nVersion: 1.2.3\n")
    (sdk / "entry_points.txt").write_text("[console_scripts]\nlightning = lightning_sdk.cli.entrypoint:main_cli\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lightning").write_text("from lightning_sdk.cli.entrypoint import main_cli\n")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "fulmen")])
    assert main(["--version"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"fulmen (fulmen) {__version__}\n"
    assert "`lightning` belongs to lightning-sdk 1.2.3" in captured.err


def test_listing_is_quick_and_light() -> None:
    code = (
        "import sys; sys.argv = ['lightning']; from fulmen.cli.main import main; "
        "main(['--help']); main(['--version']); main(['plugins', 'list']); "
        "heavy = {'torch', 'lightning', 'torchmetrics', 'timm', 'jsonargparse', 'sklearn'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    environ = {**os.environ, "PYTHONPATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert ended.returncode == 0, ended.stderr
    assert "one_cycle" in ended.stdout
