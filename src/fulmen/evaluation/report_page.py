"""The page of an evaluation, for readers who did not train the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fulmen.evaluation import plots
from fulmen.evaluation.curves import confusion, most_confused
from fulmen.evaluation.evaluation import Evaluation
from fulmen.evaluation.learning import Curves, Verdict
from fulmen.evaluation.metrics import HEADLINE
from fulmen.evaluation.page import Page
from fulmen.evaluation.slices import Slice
from fulmen.evaluation.wording import meaning

_MOST_CLASSES, _MOST_PAIRS, _MOST_VALUES = 50, 8, 4


@dataclass(frozen=True)
class About:
    """What a page says beside the numbers.

    Attributes:
        title: Of the page.
        subtitle: Stands below it.
        caution: What a reader must know before believing the numbers.
        data: Facts of the data.
        shares: A table of the classes in each split: names of the columns, and rows.
        model: Facts of the model.
        config: The whole config, in YAML.
        commands: What to type to get these numbers again.
        curves: What the training logged.
        best: Place in ``curves`` of the epoch whose weights were kept.
        verdict: What the curves say.
        mistake_columns: Further columns of the worst mistakes: name -> a cell each.
        mistake_picture: The worst mistakes as pictures, a PNG file's bytes.
        measured: Paragraphs on how it was measured.
    """

    title: str
    subtitle: str = ""
    caution: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    shares: tuple[Sequence[str], Sequence[Sequence[object]]] | None = None
    model: Mapping[str, object] = field(default_factory=dict)
    config: str = ""
    commands: str = ""
    curves: Curves | None = None
    best: int | None = None
    verdict: Verdict | None = None
    mistake_columns: Mapping[str, Sequence[object]] = field(default_factory=dict)
    mistake_picture: bytes | None = None
    measured: Sequence[str] = ()


def compose(evaluation: Evaluation, about: About) -> Page:
    """Writes the page.

    Args:
        evaluation: The numbers.
        about: All else.
    """
    page = Page(about.title, about.subtitle)
    page.lead(evaluation.answer())
    if about.caution:
        page.note(about.caution)
    _numbers(page, evaluation)
    if evaluation.predictions.task == "regression":
        _residuals(page, evaluation)
    else:
        _classes(page, evaluation)
        _sureness(page, evaluation)
    if evaluation.slices:
        _slices(page, evaluation)
    if evaluation.mistakes:
        _mistakes(page, evaluation, about)
    if about.curves is not None and about.verdict is not None:
        _learning(page, evaluation, about)
    _sources(page, about)
    _measured(page, evaluation, about)
    return page


def _numbers(page: Page, evaluation: Evaluation) -> None:
    task, names = evaluation.predictions.task, evaluation.predictions.names
    page.section("Numbers")
    rows = [
        [name, found.value, f"{found.low:.4g} to {found.high:.4g}", evaluation.baseline.get(name),
         meaning(name, task, names)]
        for name, found in evaluation.intervals.items()
    ]  # fmt: skip
    page.table(["metric", "value", "95 % interval", "same answer for all", "what it says"], rows, strong=[0])
    for name, reason in evaluation.undefined.items():
        page.paragraph(f"{name} is not given: {reason}.")


def _classes(page: Page, evaluation: Evaluation) -> None:
    predictions, per_class = evaluation.predictions, evaluation.per_class
    label = "label" if predictions.task == "multilabel" else "class"
    page.section("Labels" if label == "label" else "Classes")
    head = ["precision", "recall", "f1", "auroc", "average_precision"]
    order = sorted(per_class, key=lambda name: per_class[name]["f1"]) if len(per_class) > _MOST_CLASSES else per_class
    shown = list(order)[:_MOST_CLASSES]
    rows = [[n, int(per_class[n]["support"]), *(per_class[n].get(key) for key in head)] for n in shown]
    caption = "" if len(shown) == len(per_class) else f"The {len(shown)} of {len(per_class)} with the lowest F1."
    page.table([label, "samples", *(key.replace("_", " ") for key in head)], rows, caption)
    if predictions.task != "multilabel":
        matrix, names = confusion(predictions), predictions.names
        caption = "Rows are what samples are, columns what the model says. The diagonal is right."
        page.figure(plots.draw_confusion(predictions), caption, "confusion matrix")
        pairs = [[names[i], names[j], n, n / max(int(matrix[i].sum()), 1)] for i, j, n in most_confused(matrix)]
        if len(names) > 2 and pairs:
            page.table(["is", "taken for", "times", "share of the class"], pairs[:_MOST_PAIRS], "Commonest mistakes")
    ranked = {name for name, scored in per_class.items() if "auroc" in scored}
    if ranked:
        hardest = " Of many classes, the ten hardest are drawn." if len(ranked) > 10 else ""
        page.figure(
            plots.draw_ranking(predictions),
            "What is traded when the line between yes and no is moved: towards the upper left (ROC), and the upper "
            f"right (precision and recall), is better.{hardest}",
            "ROC curves, and precision over recall",
        )


def _sureness(page: Page, evaluation: Evaluation) -> None:
    p = evaluation.predictions
    page.section("How sure it is")
    error = evaluation.intervals["calibration_error"]
    if p.task == "multiclass":
        sure, right = float(p.scores.max(1).mean()), evaluation.scores["accuracy"]
        tends = "surer than right" if sure > right else "less sure than right"
        said = f"On average it gives its answers a probability of {sure:.3f} and is right for {right:.3f} of them: "
        said += f"{tends}. " if abs(sure - right) >= 0.01 else "about as sure as right. "
    elif p.task == "binary":
        sure, right = float(p.scores[:, 1].mean()), float((p.targets == 1).mean())
        said = f"On average it gives {p.names[1]} a probability of {sure:.3f}; {right:.3f} of the samples are that. "
    else:
        said = ""
    page.paragraph(
        f"{said}The calibration error (15 bins) is {error.value:.3f} (95 % interval {error.low:.3f} to "
        f"{error.high:.3f}; of few samples it is never quite 0)."
    )
    page.figure(
        plots.draw_reliability(p),
        "Bars on the dashed line: when it says 80 %, it is so in 80 % of the cases. Below the line it is too sure.",
        "reliability diagram",
    )


def _residuals(page: Page, evaluation: Evaluation) -> None:
    predictions = evaluation.predictions
    page.section("Errors")
    for i, name in enumerate(predictions.names[:_MOST_VALUES]):
        residual = predictions.targets[:, i] - predictions.predicted[:, i]
        low, middle, high = np.quantile(residual, [0.05, 0.5, 0.95])
        if len(predictions.names) > 1:
            page.subsection(name)
        page.paragraph(
            f"Nine of ten true values lie between {abs(low):.4g} {'below' if low < 0 else 'above'} and "
            f"{abs(high):.4g} {'above' if high > 0 else 'below'} the prediction; the mean error is "
            f"{residual.mean():.4g} (true minus predicted), the median error {middle:.4g}."
        )
        page.figure(
            plots.draw_residuals(predictions, i),
            "Left: points on the dashed line are right. Middle: how large errors are. Right: no pattern should be "
            "left; a bend or a funnel says what the model has not learned.",
            f"residuals of {name}",
        )


def _slices(page: Page, evaluation: Evaluation) -> None:
    metric = evaluation.headline
    whole = evaluation.intervals[metric]
    page.section("Parts of the data")
    worse = [f"{part.column}: {part.value}" for part in evaluation.slices if part.worse]
    said = f"Clearly worse than the whole ({metric} {whole.value:.4g}): {'; '.join(worse)}." if worse else (
        f"In no part is the {metric} clearly worse than on the whole ({whole.value:.4g})."
    )  # fmt: skip
    page.paragraph(
        f"{said} Clearly means that the two 95 % intervals do not overlap, and that chance alone hardly ever gives as "
        "much in as many samples. Intervals of few samples are wide, those of fewer than ten are not given: what is "
        "not clear may still be so."
    )
    columns: dict[str, list[Slice]] = {}
    for part in evaluation.slices:
        columns.setdefault(part.column, []).append(part)
    for column, parts in columns.items():
        page.subsection(column)
        rows = [
            [part.value, part.samples, part.scores.get(metric),
             "-" if part.interval is None else f"{part.interval.low:.4g} to {part.interval.high:.4g}",
             "worse" if part.worse else "better" if part.better else "", part.baseline]
            for part in parts
        ]  # fmt: skip
        strong = [i for i, part in enumerate(parts) if part.worse]
        head = [column, "samples", metric, "95 % interval", "than the whole", "same answer for all of them"]
        page.table(head, rows, strong=strong)
        page.figure(plots.draw_slices(parts, metric, whole.value), "", f"{metric} by {column}")


def _mistakes(page: Page, evaluation: Evaluation, about: About) -> None:
    predictions, found = evaluation.predictions, evaluation.mistakes
    page.section("Worst mistakes")
    wrong = "" if predictions.task == "regression" else (
        f"{int((predictions.predicted != predictions.targets).reshape(len(predictions), -1).any(1).sum()):,} of "
        f"{len(predictions):,} samples are predicted wrongly. "
    )  # fmt: skip
    page.paragraph(
        f"{wrong}These {len(found)} have the highest loss. Mistaken labels and broken samples gather here, and what "
        "the model has seen too little of."
    )
    if about.mistake_picture is not None:
        page.image(about.mistake_picture, "", "the worst mistakes as pictures")
    more = about.mistake_columns
    rows = [
        [m.sample, m.target, f"{m.answer}{', right' if m.wrong is False else ''}", float(f"{m.loss:.3g}"),
         *(cells[i] for cells in more.values())]
        for i, m in enumerate(found)
    ]  # fmt: skip
    page.table(["sample", "is", "prediction", "loss", *more], rows)


def _learning(page: Page, evaluation: Evaluation, about: About) -> None:
    assert about.curves is not None
    assert about.verdict is not None
    page.section("Learning")
    page.paragraph(about.verdict.sentence)
    headline = HEADLINE[evaluation.predictions.task]
    logged = [n.partition("/")[2] for n in about.curves.values if n.startswith("val/") and n != "val/loss"]
    metric = headline if headline in logged else next(iter(logged), None)
    page.figure(
        plots.draw_learning(about.curves, metric, about.best),
        "Training values are means over an epoch in which the weights still change, measured with dropout and "
        "augmentation where there are any: they can be worse than those of validation.",
        "learning curves",
    )


def _sources(page: Page, about: About) -> None:
    if about.data or about.shares:
        page.section("Data")
        page.facts(about.data)
        if about.shares is not None:
            page.table(*about.shares)
    if about.model or about.config:
        page.section("Model")
        page.facts(about.model)
        if about.config:
            with page.folded("the whole config"):
                page.code(about.config)


def _measured(page: Page, evaluation: Evaluation, about: About) -> None:
    page.section("How this was measured")
    page.paragraph(
        f"Every sample was predicted once, without augmentation. Intervals are percentiles of {evaluation.resamples:,} "
        f"bootstrap resamples of the samples (seed {evaluation.seed}): with other samples of the same kind, 95 of 100 "
        "such intervals would hold the true value. They say nothing of samples of another kind, nor of how much a "
        "second training with another seed would differ."
    )
    page.paragraph(
        "'Same answer for all' gives every sample the commonest class with the shares of the classes as probabilities "
        "(every label; or the mean value): a model that is not better has learned nothing."
    )
    for paragraph in about.measured:
        page.paragraph(paragraph)
    if about.commands:
        page.code(about.commands)
