"""Trials of a search that are stopped early, because others did better by then."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fulmen.core.errors import ConfigError, unknown

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.storages.journal import JournalFileOpenLock

PRUNERS = ("median", "hyperband", "halving", "none")
STOPPED, DIVERGED = "stopped_in_epoch", "diverged_in_epoch"
"""Attributes of a trial: the epoch, from 0, in which it was pruned, or its score was no number."""
_VARIABLE = "FULMEN_PRUNING"


class Pruning(Callback):
    """Reports a trial's score to its study after each epoch, and ends the training when the study says so.

    The first process reports and asks; its answer is broadcast, so that all processes end in the same epoch. A score
    that is no number ends the training, too, and so does one that validation does not log.

    Args:
        storage: Where the study is, see :func:`open_storage`.
        study: Its name.
        trial: Number of the trial in the storage.
        monitor: Logged name of the score.
        pruner: One of :data:`PRUNERS`.
        after: Epochs that no trial is pruned in, from its beginning.
        epochs: The most epochs a trial has.
    """

    def __init__(
        self, storage: str, study: str, trial: int, monitor: str, pruner: str, after: int = 3, epochs: int = 100
    ) -> None:
        self.storage, self.study, self.trial, self.metric = storage, study, trial, monitor
        self.pruner, self.after, self.epochs = pruner, after, epochs
        self._trial: optuna.Trial | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports, asks, and tells all processes."""
        logged, stop = trainer.callback_metrics, False
        if trainer.is_global_zero and self.metric in logged:
            last = trainer.current_epoch + 1 == trainer.max_epochs  # a trial that is done is not pruned
            stop = self._ask(float(logged[self.metric]), trainer.current_epoch, last)
        elif any(name.startswith("val/") for name in logged):
            stop = True  # what nothing logs will not come; whoever asked for it hears of it sooner
        if trainer.strategy.broadcast(stop):
            trainer.should_stop = True

    def _ask(self, value: float, epoch: int, last: bool) -> bool:
        trial = self._open()
        if not math.isfinite(value):
            trial.set_user_attr(DIVERGED, epoch)
            return True
        trial.report(value, epoch)
        stop = not last and trial.should_prune()
        if stop:
            trial.set_user_attr(STOPPED, epoch)
        return stop

    def _open(self) -> optuna.Trial:
        if self._trial is None:
            import optuna

            pruner = make_pruner(self.pruner, self.after, self.epochs)
            study = optuna.load_study(study_name=self.study, storage=open_storage(self.storage), pruner=pruner)
            study.sampler = optuna.samplers.RandomSampler()  # nothing is sampled here
            self._trial = optuna.Trial(study, self.trial)
        return self._trial


@contextlib.contextmanager
def pruned_by(options: Mapping[str, Any]) -> Iterator[None]:
    """Inside, `fit` trains with :class:`Pruning`; processes that it starts do as well.

    An environment variable says so, not a key of the config: whoever runs a trial's config later is in no study.

    Args:
        options: Arguments of :class:`Pruning`.
    """
    os.environ[_VARIABLE] = json.dumps(dict(options))
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)


def from_environment() -> list[Pruning]:
    """The callback that :func:`pruned_by` asks for; none outside of it."""
    given = os.environ.get(_VARIABLE)
    return [Pruning(**json.loads(given))] if given else []


def make_pruner(name: str, after: int, most: int) -> optuna.pruners.BasePruner:
    """A pruner of Optuna.

    Args:
        name: ``median`` (worse than half of the trials at the same epoch), ``halving`` or ``hyperband`` (of the trials
            that come to 1, 3, 9, ... times ``after`` epochs, the best third goes on; Li et al. 2018,
            https://jmlr.org/papers/v18/16-558.html), or ``none``.
        after: Epochs before it begins.
        most: Epochs of a whole trial.

    Raises:
        ConfigError: If there is no such pruner.
    """
    from optuna import pruners

    least = max(1, after)
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=after)
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=least, max_resource=max(most, least + 1), reduction_factor=3)
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=3)
    if name == "none":
        return pruners.NopPruner()
    raise ConfigError(f"pruner: {unknown('pruner', name, PRUNERS)}")


def open_storage(url: str) -> BaseStorage:
    """Opens where studies are kept; once a process.

    Args:
        url: ``journal:FILE``, ``sqlite:///FILE``, or the address of another database that SQLAlchemy knows.

    Raises:
        ConfigError: If it cannot be opened.
    """
    return _opened(url, os.getcwd())


@functools.cache
def _opened(url: str, folder: str) -> BaseStorage:
    """The storage of an address; files are looked for from the current folder."""
    from optuna import storages
    from optuna.storages.journal import JournalFileBackend

    if url.startswith("journal:"):
        try:
            file = url.removeprefix("journal:")
            return storages.JournalStorage(JournalFileBackend(file, _journal_lock(Path(file))))
        except (OSError, ValueError) as error:
            raise _unreachable(url, error) from error
    if "://" not in url:
        raise ConfigError(
            f"storage: {url!r} is not allowed; allowed: journal, sqlite, journal:FILE, sqlite:///FILE, or the "
            "address of a database such as postgresql://user@host/name"
        )
    options = {"connect_args": {"timeout": 100}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        storage = storages.RDBStorage(url, engine_kwargs=options)
    except Exception as error:  # SQLAlchemy's, the driver's, and missing drivers: there is no common class
        raise _unreachable(url, error) from error
    if url.startswith("sqlite"):
        _make_fast(storage)
    return storage


def _journal_lock(file: Path) -> JournalFileOpenLock:
    """Lets one process write at a time; who may write cuts off a line in the middle of which another was killed."""
    from optuna.storages.journal import JournalFileOpenLock

    class WholeLines(JournalFileOpenLock):
        def acquire(self) -> bool:
            super().acquire()
            try:
                _cut_torn_line(file)
            except BaseException:
                self.release()
                raise
            return True

    return WholeLines(str(file), grace_period=10)  # a line takes milliseconds: who holds it longer was killed


def _cut_torn_line(file: Path) -> None:
    with file.open("rb+") as log:
        if log.seek(0, os.SEEK_END) == 0:
            return
        log.seek(-1, os.SEEK_END)
        if log.read(1) != b"\n":
            log.truncate(file.read_bytes().rfind(b"\n") + 1)


def _unreachable(url: str, error: Exception) -> ConfigError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(f"storage: {url!r} cannot be opened: {said[0]}")


def _make_fast(storage: Any) -> None:
    """A commit need not wait for the disk: a file in this mode is whole even after a power cut."""
    from sqlalchemy import event

    @event.listens_for(storage.engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()
