"""Whole runs of `fit`, started by other commands: folds, and trials of a search."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fulmen.cli import runs
from fulmen.core.errors import FulmenError

OUTPUT = "output.txt"
"""What a run of this kind printed."""


@dataclass(frozen=True)
class Fitted:
    """What came of a run of `fit`.

    Attributes:
        folder: The run's: config, metrics, checkpoints, and predictions where ``--keep_predictions`` asked for them.
        best: The best checkpoint.
        last: The newest one.
        best_epoch: Logged values (``val/...``, ``train/...``) of the epoch that the best checkpoint is of.
        scores: What the closing test said, ``test/...``.
        epochs: How many were trained.
        seconds: How long they took.
    """

    folder: Path
    best: Path | None
    last: Path | None
    best_epoch: Mapping[str, float]
    scores: Mapping[str, float]
    epochs: int
    seconds: float

    @classmethod
    def read(cls, folder: Path) -> Fitted:
        """Reads a run's folder.

        Raises:
            CheckpointError: If the run did not come to its end.
        """
        record = runs.read_record(folder)
        best, last = (None if record[which] is None else folder / record[which] for which in ("best", "last"))
        names = ("best_epoch", "scores", "epochs", "seconds")
        return cls(folder, best, last, *(record[name] for name in names))


def fit_run(arguments: Sequence[str], folder: Path, isolated: bool = False) -> Fitted:
    """Runs `fit` as a person would, into a folder of its own; what it prints is kept there as ``output.txt``.

    Args:
        arguments: What follows ``lightning fit``.
        folder: Of the run; made if it is missing.
        isolated: Whether it runs in a process of its own, which takes some seconds to start. Needed for several
            devices (their processes cannot be started twice by one parent), and where memory may run out.

    Raises:
        FulmenError: If the run fails with a message.
        RuntimeError: If a process of its own fails in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / OUTPUT
    with output.open("w") as file:
        if isolated:
            _in_own_process(arguments, folder, file)
        else:
            with kept_process(), logged_to(file), contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                from fulmen.cli.run import run

                run("fit", list(arguments), folder)
    return Fitted.read(folder)


@contextmanager
def logged_to(file: IO[str]) -> Iterator[None]:
    """Inside, Lightning's loggers write to a file; they keep the stderr that they found when they were imported."""
    import lightning.pytorch  # noqa: F401  # makes them

    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    handlers = [h for logger in loggers for h in logger.handlers if type(h) is logging.StreamHandler]
    before = [handler.stream for handler in handlers]  # `setStream` would flush it, and it may be closed
    for handler in handlers:
        handler.stream = file
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.stream = stream


def _in_own_process(arguments: Sequence[str], folder: Path, file: IO[str]) -> None:
    with kept_process():
        for name in _RANKS:
            os.environ.pop(name, None)
        environment = {**os.environ, runs.INTO: str(folder)}
        done = subprocess.run(
            [sys.executable, "-m", "fulmen.cli", "fit", *arguments],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode == 0:
        return
    said = (folder / OUTPUT).read_text()
    if "error: " in said and done.returncode == 2:
        raise FulmenError(said[said.rindex("error: ") + len("error: ") :].strip())
    raise RuntimeError(f"`lightning fit` ended with {done.returncode}; its last words: {said[-2000:].strip()}")


_RANKS = ("LOCAL_RANK", "NODE_RANK", "GLOBAL_RANK", "RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")


@contextmanager
def kept_process() -> Iterator[None]:
    """Takes back what a run leaves behind: the command line, and seeds and ranks in the environment."""
    argv, environment = sys.argv, dict(os.environ)
    try:
        yield
    finally:
        sys.argv = argv
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
