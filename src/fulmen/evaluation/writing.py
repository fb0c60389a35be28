"""The report of a model: what is said beside the numbers, and the files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from fulmen.core.errors import DataError
from fulmen.evaluation.describing import chance_loss, data_facts, mistake_columns, model_facts, shares
from fulmen.evaluation.evaluation import Evaluation
from fulmen.evaluation.learning import Curves, verdict
from fulmen.evaluation.report_page import About, compose

CAUTION = {
    "val": "These are validation samples. The epoch whose weights were kept was chosen by them, and perhaps settings "
    "were too: the numbers flatter. Samples that decided nothing (a test split) would tell more.",
    "train": "These are the samples that the model was trained on: the numbers say how well it remembers them, not how "
    "good it is on others.",
}
_UNTOUCHED = "The test samples took no part in the training, nor in the choice of the epoch."


def describe(module: Any, data: Any, evaluation: Evaluation, curves: Curves | None = None) -> About:
    """What a page says beside the numbers: of the data, the model, the training and the worst mistakes.

    Args:
        module: The model.
        data: Its data, set up.
        evaluation: What came of it.
        curves: What its training logged.
    """
    predictions = evaluation.predictions
    split, places = predictions.split, [mistake.row for mistake in evaluation.mistakes]
    columns = mistake_columns(data, split, places)
    if hasattr(data, "datasets") and "train" not in data.datasets:  # a checkpoint needs it not, but readers are curious
        with suppress(DataError):  # the files of the training may be elsewhere
            data.setup("fit")
    return About(
        title=f"{type(module).__name__} on {type(data).__name__}: {split} samples",
        caution=CAUTION.get(split, ""),
        data=data_facts(data),
        shares=shares(data, predictions),
        model=model_facts(module),
        curves=curves,
        best=None if curves is None else curves.best(),
        verdict=None if curves is None else verdict(curves, chance_loss(module, predictions)),
        mistake_columns=columns,
        measured=[_UNTOUCHED] if split == "test" else [],
    )


def write_report(evaluation: Evaluation, about: About, folder: Path | str, **facts: Any) -> Path:
    """Writes the page and the tables.

    Args:
        evaluation: The numbers.
        about: What :func:`describe` gave, perhaps with more.
        folder: Made if it is missing.
        **facts: What else ``metrics.json`` is to hold; of JSON's types.

    Returns:
        The page, ``report.html``.

    Raises:
        ConfigError: If it cannot be written.
    """
    found = (
        {} if about.verdict is None else {"learning": {"verdict": about.verdict.kind, "why": about.verdict.sentence}}
    )
    evaluation.write(folder, **found, **facts)
    compose(evaluation, about).write(Path(folder) / "report.html")
    return Path(folder) / "report.html"
