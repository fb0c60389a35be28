"""A person extends Fulmen with ``pip install``; a broken or hostile neighbour harms nobody else."""

import base64
import csv
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
ACME_VERSION = "1.10"  # YAML reads it as the number 1.1, unless it is quoted
ACME_CONFIG = """
model:
  class_path: acme_fulmen.AcmeModule
  init_args:
    width: 12
    activation: {name: rocket, thrust: 1.5}
    regularizers: [{name: spread, weight: 1.0e-3}]
data: {class_path: DigitsData}
trainer: {max_epochs: 2}
"""
PLAIN_CONFIG = """
model: {class_path: MLPModule, init_args: {hidden_features: [8], activation: relu}}
data: {class_path: DigitsData}
trainer: {max_epochs: 1}
"""
ACME_RECORDS = [
    {"kind": "modules", "name": "acme_fulmen.AcmeModule", "distribution": "acme-fulmen", "version": ACME_VERSION},
    {"kind": "regularizers", "name": "spread", "distribution": "acme-fulmen", "version": ACME_VERSION},
    {"kind": "activations", "name": "rocket", "distribution": "acme-fulmen", "version": ACME_VERSION},
]


def assert_message(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """A mistake ends with exit code 2 and a message, not with a traceback."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


# One package that works


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, acme: Any, lightning: Any) -> Path:
    """A folder in which a model of acme-fulmen has been trained."""
    folder = tmp_path_factory.mktemp("acme")
    (folder / "acme.yaml").write_text(ACME_CONFIG)
    plugins = acme(ACME_VERSION).install(folder / "site")
    done = lightning("fit", "--config", "acme.yaml", *QUIET, cwd=folder, plugins=plugins)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    return folder


def test_wheel_is_what_its_record_says(acme: Callable[..., Any], tmp_path: Path) -> None:
    target = acme().install(tmp_path)
    rows = list(csv.reader((target / "acme_fulmen-1.0.dist-info" / "RECORD").read_text().splitlines()))
    assert [row for row in rows if not row[1]] == [["acme_fulmen-1.0.dist-info/RECORD", "", ""]]
    for name, digest, size in rows[:-1]:
        contents = (target / name).read_bytes()
        expected = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).decode().rstrip("=")
        assert (digest, int(size)) == (f"sha256={expected}", len(contents))


@pytest.mark.slow
def test_checkpoint_records_the_plugin(trained: Path) -> None:
    run = trained / "runs" / "acme" / "version_0"
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["fulmen"]["class_path"] == "acme_fulmen.AcmeModule"
    assert checkpoint["hyper_parameters"]["activation"] == {"name": "rocket", "thrust": 1.5}
    assert [r for r in checkpoint["fulmen"]["components"] if r["distribution"] == "acme-fulmen"] == ACME_RECORDS


@pytest.mark.slow
def test_saved_config_records_the_plugin(trained: Path) -> None:
    saved = yaml.safe_load((trained / "runs" / "acme" / "version_0" / "config.yaml").read_text())
    assert [r for r in saved["provenance"] if r["distribution"] == "acme-fulmen"] == ACME_RECORDS


@pytest.mark.slow
def test_plugin_is_listed(trained: Path, lightning: Any) -> None:
    done = lightning("plugins", "list", "--kind", "activations", cwd=trained, plugins=trained / "site")
    (line,) = [line for line in done.stdout.splitlines() if "rocket" in line]
    assert line.split() == ["activations", "rocket", "acme-fulmen", ACME_VERSION]


@pytest.mark.slow
def test_run_without_its_plugin_says_what_to_install(trained: Path, lightning: Any) -> None:
    done = lightning("test", "--config", "runs/acme/version_0/config.yaml", *QUIET, cwd=trained)
    assert_message(done, "runs/acme/version_0/config.yaml was made with", "pip install 'acme-fulmen==1.10'")


@pytest.mark.slow
def test_major_change_of_the_plugin_is_an_error_unless_overridden(trained: Path, acme: Any, lightning: Any) -> None:
    plugins = acme("2.0").install(trained / "site-2.0")
    command = ["test", "--config", "acme.yaml", *QUIET]
    done = lightning(*command, cwd=trained, plugins=plugins)
    assert_message(done, "acme-fulmen 1.10, but 2.0 is installed, a major change", "pip install 'acme-fulmen==1.10'")
    assert "best.ckpt was made with" in done.stderr
    done = lightning(*command, cwd=trained, plugins=plugins, FULMEN_ALLOW_MAJOR_CHANGE="1")
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


@pytest.mark.slow
def test_wrong_option_of_a_plugin_is_said_before_training(trained: Path, lightning: Any) -> None:
    done = lightning(
        "fit", "--config", "acme.yaml", "--model.activation.thrst", "2", *QUIET,
        cwd=trained, plugins=trained / "site",
    )  # fmt: skip
    assert_message(done, "model", "activation", "thrst", "did you mean 'thrust'?")


# Packages that are in the way


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, acme: Any, rival: Any, broken: Any, futuristic: Any) -> Path:
    """A folder beside which acme and three packages that make trouble are installed."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "plain.yaml").write_text(PLAIN_CONFIG)
    for package in (acme("1.0"), rival, broken, futuristic):
        package.install(folder / "site")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "parts"),
    [
        ("rocket", ["acme-fulmen 1.0", "rival-fulmen 2.1", "'acme-fulmen:rocket'", "'rival-fulmen:rocket'"]),
        ("fizzle", ["broken-fulmen 0.3", "OSError: libcombustion.so", "FULMEN_PLUGINS_DENY=broken-fulmen"]),
        ("warp", ["futuristic-fulmen 4.0 requires fulmen>=999", "pip install -U futuristic-fulmen fulmen"]),
    ],
)
def test_package_that_cannot_be_used_says_why(crowded: Path, lightning: Any, activation: str, parts: list[str]) -> None:
    done = lightning(
        "fit", "--config", "plain.yaml", "--model.activation", activation, *QUIET,
        cwd=crowded, plugins=crowded / "site",
    )  # fmt: skip
    assert_message(done, "model.init_args.activation: ", f"activation {activation!r}", *parts)


@pytest.mark.slow
def test_packages_in_the_way_do_not_disturb_the_main_job(crowded: Path, lightning: Any) -> None:
    done = lightning(
        "fit", "--config", "plain.yaml", "--model.activation", "rival-fulmen:rocket", *QUIET,
        cwd=crowded, plugins=crowded / "site",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = lightning("fit", "--config", "plain.yaml", *QUIET, cwd=crowded, plugins=crowded / "site")
    assert done.returncode == 0, done.stderr
    runs = [crowded / "runs" / "plain" / f"version_{i}" / "checkpoints" / "best.ckpt" for i in (0, 1)]
    used = [torch.load(run, weights_only=True)["fulmen"]["components"] for run in runs]
    activations = [[(r["name"], r["distribution"]) for r in u if r["kind"] == "activations"] for u in used]
    assert activations == [[("rocket", "rival-fulmen")], [("relu", "fulmen")]]


@pytest.mark.slow
def test_packages_in_the_way_are_listed_with_what_is_wrong(crowded: Path, lightning: Any) -> None:
    done = lightning("plugins", "list", cwd=crowded, plugins=crowded / "site")
    assert done.returncode == 0, done.stderr
    lines = {tuple(line.split()[:4]): line for line in done.stdout.splitlines()}
    assert "write 'acme-fulmen:rocket'" in lines["activations", "rocket", "acme-fulmen", "1.0"]
    assert "write 'rival-fulmen:rocket'" in lines["activations", "rocket", "rival-fulmen", "2.1"]
    assert "requires fulmen>=999" in lines["activations", "warp", "futuristic-fulmen", "4.0"]
    assert ("activations", "fizzle", "broken-fulmen", "0.3") in lines


@pytest.mark.slow
def test_packages_in_the_way_may_be_kept_out(crowded: Path, lightning: Any) -> None:
    done = lightning("plugins", "list", cwd=crowded, plugins=crowded / "site", FULMEN_PLUGINS="acme-fulmen")
    lines = {tuple(line.split()[:4]): line for line in done.stdout.splitlines()}
    assert "is denied by FULMEN_PLUGINS=acme-fulmen" in lines["activations", "rocket", "rival-fulmen", "2.1"]
    assert lines["activations", "rocket", "acme-fulmen", "1.0"].endswith("1.0")
    done = lightning("plugins", "list", cwd=crowded, plugins=crowded / "site", FULMEN_PLUGINS_DENY="rivel-fulmen")
    assert_message(done, "FULMEN_PLUGINS_DENY", "did you mean 'rival-fulmen'?")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"]])
def test_help_works_whatever_is_installed(crowded: Path, lightning: Any, arguments: list[str]) -> None:
    done = lightning(*arguments, cwd=crowded, plugins=crowded / "site")
    assert done.returncode == 0, done.stderr
    assert "usage: lightning" in done.stdout
    assert "fulmen" not in done.stderr
