"""What the numbers of a model show of its limits, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from fulmen.evaluation import Interval, Predictions, per_class, undefined
from fulmen.evaluation.metrics import HEADLINE
from fulmen.workflows.card_facts import SPLITS, CardFacts, plain

_WORST = 3


def limitations(facts: CardFacts, found: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """What the numbers show; a person who knows the use will know more.

    Args:
        facts: Of the card.
        found: Split -> metric -> value; those of ``test`` are taken, of another split where nothing was tested.
    """
    split = "test" if "test" in found else next(iter(found))
    made = facts.predictions[split]
    lines = [
        f"Seen in the numbers of the {SPLITS[split]} samples; none of it replaces a look at where it will be used.",
        "",
    ]
    lines += [
        f"- {plain(line)}"
        for line in (
            *_worst(made),
            *_calibration(found[split]),
            *_size(made),
            *_learned(facts),
            *_slices(facts, found, split),
        )
    ]
    lines += [f"- {name} is not given: {why}." for name, why in undefined(made).items()]
    if made.task in ("multiclass", "binary"):
        lines.append("- It answers with one of its classes whatever it is shown, also for samples that are of none.")
    return lines


def _worst(made: Predictions) -> Iterator[str]:
    classes = {name: each for name, each in per_class(made).items() if each["support"]}
    order = sorted(classes, key=lambda name: classes[name]["f1"])[:_WORST]
    if len(classes) > 1:
        said = ", ".join(
            f"{name} ({classes[name]['f1']:.3f} of {classes[name]['support']:,.0f} samples)" for name in order
        )
        yield f"Lowest F1: {said}."
    if made.task == "multiclass":
        wrong = made.predicted != made.targets
        if wrong.any():
            pairs, counts = np.unique(
                np.stack([made.targets[wrong], made.predicted[wrong]], 1), axis=0, return_counts=True
            )
            target, predicted = pairs[counts.argmax()]
            yield (
                f"Most frequent mistake: {made.names[target]} taken for {made.names[predicted]} ({counts.max()} of "
                f"{int(wrong.sum())} mistakes)."
            )
    if made.task == "regression":
        errors = np.abs(made.predicted - made.targets).max(1)
        worst = int(errors.argmax())
        yield f"Largest error: {errors[worst]:.4g}, of sample {made.samples[worst]}."


def _calibration(found: Mapping[str, Interval]) -> Iterator[str]:
    if "calibration_error" in found:
        error = found["calibration_error"].value
        yield f"Its probabilities are off by {error:.1%} on average (expected calibration error)."


def _size(made: Predictions) -> Iterator[str]:
    headline = HEADLINE[made.task]
    if len(made) < 1000:
        yield f"{len(made):,} samples are few: look at the interval of {headline}, not at its digits."


def _learned(facts: CardFacts) -> Iterator[str]:
    best = facts.record.get("best_epoch") or {}
    train, val = best.get("train/loss"), best.get("val/loss")
    why = next((r["learning"]["why"] for r in facts.reports.values() if (r.get("learning") or {}).get("why")), None)
    if why:
        yield why
    elif train is not None and val is not None:
        yield f"In its best epoch the training loss was {train:.4g}, the validation loss {val:.4g}."


def _slices(facts: CardFacts, found: Mapping[str, Mapping[str, Interval]], split: str) -> Iterator[str]:
    """Parts of the data that are worse than the whole, as the report found; nothing of a report that is out of date."""
    report = facts.reports.get(split) or {}
    headline = HEADLINE[facts.predictions[split].task]
    then = ((report.get("metrics") or {}).get(headline) or {}).get("value")
    now = found[split].get(headline)
    if then is None or now is None or abs(then - now.value) > 1e-9:
        return
    for part in report.get("slices") or []:
        if part.get("worse") and part.get("interval"):
            low, high = part["interval"]["low"], part["interval"]["high"]
            yield (
                f"Worse where {part['column']} is {part['value']}: {headline} {part['interval']['value']:.4f} "
                f"({low:.4f} .. {high:.4f}) on {part['samples']:,} samples."
            )
