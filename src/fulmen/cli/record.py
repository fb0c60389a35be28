"""What a run of `fit` leaves in its folder beside checkpoints and metrics: ``environment.json`` and ``run.json``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fulmen.cli import environment, runs
from fulmen.cli.invocation import Invocation
from fulmen.data import SupervisedDataModule
from fulmen.workflows import memory

SPLIT = "split.csv"
_SHOWN = 8


class RunRecorder(Callback):
    """Writes the environment when training starts, so that a run which is killed has it too, and how the run ended.

    Args:
        folder: The run's.
        invocation: The command line.
        used: What the run is made of, see :func:`fulmen.core.provenance.records`.
        seed: Of ``seed_everything``.

    Attributes:
        facts: What is counted while it trains: parameters, samples, memory, the split's hash.
    """

    def __init__(self, folder: Path, invocation: Invocation, used: Iterable[Mapping[str, Any]], seed: object) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {"name": invocation.name}
        self._invocation, self._used, self._seed = invocation, list(used), seed
        self._environment: dict[str, Any] = {}
        self._began = time.monotonic()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the environment, and says what differs from that of the run whose config is trained again."""
        memory.reset_peaks()
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SupervisedDataModule):
            self.facts["samples"] = {split: len(part) for split, part in data.datasets.items()}
            self.facts["class_counts"] = _class_counts(data)
        self.facts["split_sha256"] = digest(self.folder / SPLIT)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        device = str(trainer.strategy.root_device)
        facts = {"device": device, "processes": trainer.world_size, "seed": self._seed}
        self._environment = {
            "status": "running",
            "name": self.facts["name"],
            "started": began,
            "ended": None,
            "seconds": None,
            **environment.describe(self._used, self._invocation.arguments),
            **facts,
        }
        environment.write(self.folder, self._environment)
        for config in self._invocation.configs:
            difference = split_difference(Path(config).parent, self.folder)
            if difference is not None:
                print(f"note: {difference}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts, before the best checkpoint takes the model's place."""
        sizes = [(p.numel(), p.requires_grad) for p in pl_module.parameters()]
        self.facts["parameters"] = {"total": sum(n for n, _ in sizes), "trainable": sum(n for n, t in sizes if t)}
        self.facts["memory"] = memory.peaks()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keeps how it ended."""
        if not trainer.is_global_zero or not self._environment:
            return
        said = str(exception).strip().splitlines()
        why = f"{type(exception).__name__}: {said[0]}" if said else type(exception).__name__
        interrupted = isinstance(exception, KeyboardInterrupt)
        self.close("interrupted" if interrupted else "failed", None if interrupted else why)

    def finish(self, paths: Mapping[str, str | None], **facts: Any) -> None:
        """Writes ``run.json`` of a run that came to its end, and completes its environment.

        Args:
            paths: Its ``best`` and ``last`` checkpoint.
            **facts: What came of it.
        """
        kept = next((Path(path) for path in paths.values() if path), None)
        runs.write_record(
            self.folder,
            status="finished",
            **{which: _within(self.folder, path) for which, path in paths.items()},
            **facts,
            **self.facts,
            checkpoint_bytes=kept.stat().st_size if kept is not None and kept.is_file() else None,
        )
        self.close("finished")

    def close(self, status: str, error: str | None = None) -> None:
        """Completes the environment.

        Args:
            status: ``finished``, ``interrupted`` or ``failed``.
            error: Why it failed.
        """
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        self._environment |= {"status": status, "ended": ended, "seconds": time.monotonic() - self._began}
        environment.write(self.folder, self._environment | ({"error": error} if error else {}))


def notes_on_refitting(config: Path, parsed: Mapping[str, Any], arguments: Iterable[str]) -> list[str]:
    """What differs from the run whose saved config is trained again; nothing for any other config.

    Args:
        config: The config file; that of a run lies beside its ``environment.json``.
        parsed: Its contents.
        arguments: What follows ``lightning fit``.
    """
    then = environment.read(config.parent)
    if then is None:
        return []
    notes = []
    found = environment.differences(then, environment.describe(parsed.get("provenance") or [], arguments))
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        notes.append(f"{config.parent} was made with {', '.join(found[:_SHOWN])}{more}; numbers may differ")
    folder = Path(then.get("folder") or ".")
    if folder != Path.cwd() and folder.is_dir():
        sections = {key: parsed.get(key) for key in ("model", "data")}
        paths = environment.relative_paths(sections, folder)
        if paths:
            notes.append(
                f"{config.parent} was trained in {folder}; here, in {Path.cwd()}, these relative paths of its config "
                f"mean other files: {', '.join(paths)}"
            )
    return notes


def split_difference(run: Path, now: Path) -> str | None:
    """Says how a split differs from that of another run; ``None`` where it does not, or one of them is not known.

    Args:
        run: The other run's folder.
        now: A folder whose run has just written its split.
    """
    old, new = run / SPLIT, now / SPLIT
    if not old.is_file() or not new.is_file() or digest(old) == digest(new):
        return None
    import pyarrow.csv as csv

    rows: list[set[tuple[str, ...]]] = []
    for file in (old, new):
        table = csv.read_csv(file)
        rows.append({tuple(str(v) for v in row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)})
    gone, came = len(rows[0] - rows[1]), len(rows[1] - rows[0])
    return (
        f"the split is not that of {run}: {gone:,} of its {len(rows[0]):,} samples are elsewhere or gone, "
        f"{came:,} are new or elsewhere"
        if gone or came
        else f"the samples stand in another order than in {run}"
    )


def digest(file: Path) -> str | None:
    """SHA-256 of a file; ``None`` where there is none."""
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _class_counts(data: SupervisedDataModule) -> dict[str, int] | None:
    """Training samples of each class; ``None`` where targets are no classes."""
    counts = data.class_counts()
    if counts is None:
        return None
    names = data.class_names or [str(i) for i in range(len(counts))]
    return dict(zip(map(str, names), counts.tolist(), strict=False))


def _within(folder: Path, path: str | None) -> str | None:
    """A checkpoint's path from its run's folder; that of a run which this one resumed stays whole."""
    if path is None:
        return None
    inside = folder / runs.CHECKPOINTS / Path(path).name
    return f"{runs.CHECKPOINTS}/{inside.name}" if inside.is_file() else str(path)
