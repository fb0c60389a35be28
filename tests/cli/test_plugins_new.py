"""`lightning plugins new`: what it writes passes its own tests, linters and type checks, as its CI runs them."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tests.conftest import Cli

from fulmen.cli.plugins.kinds import read_kind
from fulmen.cli.plugins.new import EXAMPLES, describe
from fulmen.core.registry import KINDS
from fulmen.core.version import __version__

LONGEST = "a-name-as-long-as-it-may-be-30"


def steps(package: Path) -> list[list[str]]:
    """What the package's CI runs, but for the installation."""
    workflow = yaml.safe_load((package / ".github" / "workflows" / "test.yml").read_text())
    commands = [step["run"].split() for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert [command[:3] for command in commands] == [
        ["python", "-m", tool] for tool in ("pip", "ruff", "ruff", "mypy", "pytest")
    ]
    return [[sys.executable, *command[1:]] for command in commands[1:]]


@pytest.mark.slow
def test_packages_pass_their_own_ci(cli: Cli, tmp_path: Path) -> None:
    """Those of all kinds at once, each with the commands of its CI: torch is imported and its types are read once."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not there to install the packages with")
    names = {kind: f"{letter}{LONGEST[1:]}" for kind, letter in zip(KINDS, string.ascii_lowercase, strict=False)}
    for kind, name in names.items():
        result = cli("plugins", "new", name, "--kind", kind)
        assert result.code == 0, result.err
    packages = [tmp_path / f"fulmen-{name}" for name in names.values()]
    site = tmp_path / "site"
    install = [uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", str(site)]
    done = subprocess.run([*install, *map(str, packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    environ = {**os.environ, "PYTHONPATH": str(site)}
    assert len({str(steps(package)) for package in packages}) == 1
    for command in steps(packages[0]):
        folder = {"mypy": "src", "pytest": "tests"}.get(command[2])
        together = [[str(package / folder) for package in packages]] if folder else [[] for _ in packages]
        for package, places in zip(packages, together, strict=False):
            done = subprocess.run([*command, *places], cwd=package, env=environ, capture_output=True, text=True)
            assert done.returncode == 0, f"{' '.join(command[2:])}\n{done.stdout}\n{done.stderr}"
    listing = [sys.executable, "-c", "from fulmen.cli.main import main; main(['plugins', 'list'])"]
    done = subprocess.run(listing, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    for kind, name in names.items():
        (line,) = [line for line in done.stdout.splitlines() if f"fulmen-{name}" in line]
        assert line.split()[:4] == [kind, name.replace("-", "_"), f"fulmen-{name}", "0.1.0"]
        assert "an example; put your own" in line


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_formatted_whatever_the_name(cli: Cli, tmp_path: Path, kind: str) -> None:
    assert cli("plugins", "new", "x", "--kind", kind).code == 0
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "check"], [*ruff, "format", "--check", "--diff"]):
        done = subprocess.run(command, cwd=tmp_path / "fulmen-x", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_new_says_what_it_wrote_and_what_to_type(cli: Cli, tmp_path: Path) -> None:
    result = cli("plugins", "new", "fulmen-My_Bump", "--kind", "activation", "--path", "here")
    package = tmp_path / "here" / "fulmen-my-bump"
    assert result.code == 0, result.err
    written = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert written == {
        ".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml", "tests/test_my_bump.py",
        "src/fulmen_my_bump/__init__.py", "src/fulmen_my_bump/py.typed",
    }  # fmt: skip
    for name in written:
        assert f"  {name}\n" in result.out
    assert "cd here/fulmen-my-bump" in result.out
    assert "pip install -e ." in result.out
    assert "activation: {name: my_bump, slope: 2.0}" in result.out
    assert "activation: {name: my_bump, slope: 2.0}" in (package / "README.md").read_text()


def test_metadata_are_what_the_registry_reads(cli: Cli, tmp_path: Path) -> None:
    assert cli("plugins", "new", "bump", "--kind", "image-augmentation").code == 0
    project = tomllib.loads((tmp_path / "fulmen-bump" / "pyproject.toml").read_text())["project"]
    major, minor = map(int, __version__.split(".")[:2])
    assert project["name"] == "fulmen-bump"
    assert project["dependencies"] == [f"fulmen>={major}.{minor},<{major}.{minor + 1}", "fulmen-albumentations"]
    assert project["entry-points"] == {"fulmen.image_augmentations": {"bump": "fulmen_bump:Bump"}}


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "fulmen-bump" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    result = cli("plugins", "new", "bump", "--kind", "loss")
    assert result.code == 2
    assert result.error.startswith("--path: fulmen-bump holds something already")
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_an_error(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "fulmen-bump").write_text("")
    result = cli("plugins", "new", "bump", "--kind", "loss")
    assert result.code == 2
    assert result.error == "--path: fulmen-bump cannot be written: File exists"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("relu", "activation", "activation 'relu' is provided by fulmen 0.1.0; take another, such as 'relu_2'"),
        ("one-cycle", "schedules", "schedule 'one_cycle' is provided by fulmen"),
        ("3d", "loss", "'3d' is no name for a package; allowed: a letter, then"),
        ("a b", "loss", "'a b' is no name for a package"),
        ("bump-", "loss", "'bump-' is no name for a package"),
        ("none", "loss", "'none' cannot name a class in Python; take another, such as my-none"),
        ("fulmen", "loss", "'fulmen' cannot name a class"),
        ("b" * 31, "loss", "at most 30"),
    ],
)
def test_names_that_cannot_be_used(cli: Cli, tmp_path: Path, name: str, kind: str, message: str) -> None:
    result = cli("plugins", "new", name, "--kind", kind)
    assert result.code == 2
    assert result.error.startswith("NAME: ")
    assert message in result.error
    assert list(tmp_path.iterdir()) == []


def test_distribution_that_is_installed_is_not_taken(cli: Cli) -> None:
    result = cli("plugins", "new", "activations", "--kind", "activation")
    assert result.code == 2
    assert "fulmen-activations" in result.error
    assert "is installed already" in result.error


def test_kind_that_does_not_exist(cli: Cli) -> None:
    result = cli("plugins", "new", "bump", "--kind", "activaton")
    assert result.code == 2
    assert "unknown kind 'activaton'; did you mean 'activations'?" in result.error


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_read_in_singular_and_plural(kind: str) -> None:
    assert {read_kind(kind), read_kind(KINDS[kind]), read_kind(KINDS[kind].replace(" ", "-").upper())} == {kind}


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(KINDS)
    for kind in KINDS:
        assert describe("bump", kind)["line"].count("bump") == 1
