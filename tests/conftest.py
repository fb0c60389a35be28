"""What tests share."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

# The networks of the tests are tiny: threads that wait for each other would take four times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What tests cache goes when they end, and processes that they start see it; nothing of the user's own cache is read.
_CACHE = tempfile.TemporaryDirectory(prefix="fulmen-tests-", ignore_cleanup_errors=True)
os.environ["FULMEN_CACHE"] = _CACHE.name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _clean_cache() -> Iterator[None]:
    yield
    _CACHE.cleanup()


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The message of a mistake: what stands behind `error:`."""
        assert "error: " in self.err, self.err
        return self.err[self.err.index("error: ") + len("error: ") :].strip()


@pytest.fixture(autouse=True)
def _whole_dataloader() -> Iterator[None]:
    """Takes back Lightning's wrapping of ``DataLoader``, which stays when a datamodule raises an error inside it.

    ``lightning/fabric/utilities/data.py`` of 2.6.6: ``_replace_dunder_methods`` yields without ``try ... finally``.
    """
    yield
    torch_data = sys.modules.get("torch.utils.data")
    for name in ("DataLoader", "BatchSampler") if torch_data is not None else ():
        cls = getattr(torch_data, name)
        for method in ("__init__", "__setattr__", "__delattr__"):
            original = vars(cls).get(f"__old{method}")
            if original is not None:
                setattr(cls, method, original)
                delattr(cls, f"__old{method}")


_RANKS = ("LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")


@pytest.fixture(autouse=True)
def _no_rank() -> Iterator[None]:
    """Takes back what DDP of one process leaves in the environment: a command that is started later takes itself for
    one of several processes, and waits for the others.

    ``lightning/pytorch/strategies/launchers/subprocess_script.py`` of 2.6.6: ``_call_children_scripts`` sets them.
    """
    before = {name: os.environ.get(name) for name in _RANKS}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs `lightning` in this process, in a folder of its own; what it imports from there is forgotten."""
    from fulmen.cli.main import main

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULMEN_RUN_FOLDER", "")
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")

    def run(*arguments: object) -> Result:
        argv = [str(a) for a in arguments]
        if argv and argv[0] in ("fit", "validate", "test", "predict") and "--model.help" not in argv:
            accelerator = [] if "--trainer.accelerator" in argv else ["--trainer.accelerator", "cpu"]
            argv += [*accelerator, "--trainer.enable_progress_bar", "false"]
        monkeypatch.setattr(sys, "argv", ["lightning", *argv])
        capsys.readouterr()
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            for handler in logging.getLogger(name).handlers:  # made at import, with the stderr of another test
                if type(handler) is logging.StreamHandler:
                    handler.stream = sys.stderr
        try:
            code = main(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield run
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def config(**changes: object) -> dict[str, object]:
    """A small config that trains at once; keys replace its own, `None` removes one."""
    made: dict[str, object] = {
        "model": {"class_path": "MLPModule", "init_args": {"hidden_features": [16]}},
        "data": {"class_path": "IrisData", "init_args": {"batch_size": 32}},
        "trainer": {"max_epochs": 1, "enable_model_summary": False},
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config (see `config`) to a file in the test's folder."""

    def write(name: str = "small.yaml", **changes: object) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(config(**changes)))
        return path

    return write
