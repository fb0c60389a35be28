"""Keys that all configs have: metrics, balance, shares of the splits, length of the training."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from fulmen.cli.init.entries import Entry
from fulmen.cli.init.target import Target

_SMALL, _LARGE = 500, 20_000
"""Of fewer samples than these, a larger share is needed to tell good from bad."""


def metrics(target: Target) -> Entry | None:
    """Metrics, where the task's own do not do."""
    if target.type == "binary" and target.is_uneven:
        return Entry(
            "metrics", ["accuracy", "f1", "auroc", "average_precision"], "accuracy says little of a rare class"
        )
    if target.type == "multiclass" and target.is_uneven:
        return Entry("metrics", ["accuracy", "balanced_accuracy", "f1"], "accuracy says little of rare classes")
    return None


def balance(target: Target) -> Entry | None:
    """What is done about rare classes."""
    if not target.is_uneven:
        return None
    rare = min(target.counts, key=lambda name: target.counts[name])
    share = target.counts[rare] / sum(target.counts.values())
    reason = f"{share:.1%} are {rare!r}: they weigh more in the loss; null: they do not"
    return Entry("balance", "class_weights", reason)


def shares(rows: int, has: AbstractSet[str], of: str) -> Sequence[Entry]:
    """Shares of the splits that the data do not have.

    Args:
        rows: How many samples there are.
        has: The splits that they have.
        of: What the samples are, in words.
    """
    share = 0.2 if rows < _SMALL else 0.15 if rows < _LARGE else 0.1
    found = []
    if "val" not in has:
        found.append(Entry("val_fraction", share, f"share of the {of} that validates; there is no split for it"))
    if not has & {"val", "test"}:
        found.append(Entry("test_fraction", share, "share that is kept for the test"))
    return found


def monitor(target: Target) -> tuple[str, str]:
    """What tells the best model, and whether more of it is better."""
    if target.type == "binary" and target.is_uneven:
        return "val/average_precision", "max"
    if target.type == "multiclass" and target.is_uneven:
        return "val/f1", "max"
    return "val/loss", "min"


def length(target: Target, epochs: int, patience: int) -> Sequence[Entry]:
    """How long is trained, and which model is kept."""
    name, mode = monitor(target)
    watched = {"monitor": name} if mode == "min" else {"monitor": name, "mode": mode}
    return [
        Entry("trainer", {"max_epochs": epochs}, "at most; any argument of Lightning's Trainer"),
        Entry("early_stopping", {**watched, "patience": patience}, "ends when it no longer improves; null: never"),
        Entry("checkpoint", watched, "keeps best.ckpt and last.ckpt"),
    ]
