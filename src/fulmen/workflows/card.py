"""A model card (Mitchell et al. 2019) in Markdown, with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Interval, intervals, per_class
from fulmen.evaluation.metrics import HEADLINE
from fulmen.workflows.card_facts import SPLITS, CardFacts, front_matter, plain
from fulmen.workflows.card_limits import limitations

NOT_GIVEN = "Not given by the author of this card."
_CLASSES = 50
_ONLY_TOLD = ("fit", "test", "report", "card", "export", "predict")
"""Commands that say how good a model is on the test set; the others choose by it."""


def model_card(facts: CardFacts, resamples: int = 1000, seed: int = 0) -> str:
    """Writes a card; nothing is said in it that was not measured or given.

    Args:
        facts: At least one split has predictions.
        resamples: Of the intervals.
        seed: Of the intervals.

    Raises:
        ConfigError: If no split has predictions.
    """
    if not facts.predictions:
        raise ConfigError(f"{facts.name}: no split has predictions to write a card from")
    found = {split: intervals(made, resamples, seed) for split, made in facts.predictions.items()}
    sections = {
        "Intended use": _use(facts),
        "Data": _data(facts),
        "Training": _training(facts),
        "Evaluation": _evaluation(facts, found),
        "Limitations": limitations(facts, found),
        "How to use": _usage(facts),
        "Reproducibility": _reproducing(facts),
    }
    text = [front_matter(facts, found), "", f"# {facts.name}", "", _summary(facts, found)]
    for title, lines in sections.items():
        text += ["", f"## {title}", "", *lines]
    return "\n".join(text) + "\n"


def _summary(facts: CardFacts, found: Mapping[str, Mapping[str, Interval]]) -> str:
    split = "test" if "test" in found else "val"
    made = facts.predictions[split]
    headline = HEADLINE[made.task]
    size = (facts.record.get("parameters") or {}).get("total")
    of = f" with {size:,} parameters" if size else ""
    aim = {
        "multiclass": f"tells {len(made.names)} classes apart",
        "binary": f"tells {' from '.join(map(plain, made.names))}",
        "multilabel": f"says which of {len(made.names)} labels hold",
        "regression": f"predicts {', '.join(map(plain, made.names))}",
    }[made.task]
    said = ""
    if headline in found[split]:
        value = found[split][headline]
        said = (
            f" Its {headline} on {len(made):,} {SPLITS[split]} samples is {value.value:.4f} "
            f"(95 % interval {value.low:.4f} to {value.high:.4f})."
        )
    return f"`{facts.model.rpartition('.')[2]}`{of} that {aim}, trained on `{facts.data}`.{said}"


def _use(facts: CardFacts) -> list[str]:
    given = facts.given
    return [
        f"- **Meant for:** {given.get('intended_use') or NOT_GIVEN}",
        f"- **Not meant for:** {given.get('out_of_scope') or NOT_GIVEN}",
        f"- **Authors:** {given.get('authors') or NOT_GIVEN}",
        f"- **Licence:** {given.get('license') or NOT_GIVEN}",
    ]


def _data(facts: CardFacts) -> list[str]:
    samples = facts.record.get("samples") or {}
    lines = [f"`{facts.data}`" + (f", dataset `{facts.given['dataset']}`" if facts.given.get("dataset") else "") + "."]
    if samples:
        lines += ["", *_table(["split", "samples"], [[SPLITS.get(s, s), f"{n:,}"] for s, n in samples.items()])]
    counts = facts.record.get("class_counts") or {}
    if counts:
        total = sum(counts.values()) or 1
        shown = sorted(counts.items(), key=lambda pair: -pair[1])
        rows = [[name, f"{n:,}", f"{n / total:.1%}"] for name, n in shown[:_CLASSES]]
        lines += ["", *_table(["class", "training samples", "share"], rows)]
        if len(shown) > _CLASSES:
            lines += ["", f"and {len(shown) - _CLASSES} rarer classes."]
    return lines


def _training(facts: CardFacts) -> list[str]:
    import yaml

    record, environment = facts.record, facts.environment
    rows = [["class", f"`{facts.model}`"]]
    sizes = record.get("parameters") or {}
    if sizes:
        rows.append(["parameters", f"{sizes['total']:,} ({sizes['trainable']:,} trained)"])
    if record.get("epochs") is not None:
        best = (record.get("best_epoch") or {}).get("epoch")
        chosen = f", the best was epoch {best + 1:.0f} by {record.get('monitor')}" if best is not None else ""
        rows.append(["epochs", f"{record['epochs']}{chosen}"])
    if record.get("seconds") is not None:
        rows.append(["training time", f"{record['seconds']:.1f} s"])
    hardware = ", ".join(environment.get("gpus") or []) or environment.get("cpu")
    if hardware:
        rows.append(["hardware", f"{hardware}, processes: {environment.get('processes', 1)}"])
    versions = {**(environment.get("versions") or {}), **(environment.get("used") or {})}
    named = ("fulmen", "torch", "lightning", "timm", "torchvision", *(environment.get("used") or {}))
    said = ", ".join(f"{name} {versions[name]}" for name in dict.fromkeys(named) if name in versions)
    if said:
        rows.append(["made with", f"python {environment.get('python')}, {said}"])
    shown = {
        key: _without_defaults(facts.config[key])
        for key in ("seed_everything", "model", "data", "early_stopping", "checkpoint", "ema", "swa")
        if facts.config.get(key) is not None
    }
    config = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100).rstrip()
    return [*_table(["", ""], rows), "", "```yaml", config, "```"]


def _without_defaults(value: Any) -> Any:
    """A part of a config without what is null or empty: the run's own config is complete."""
    if isinstance(value, Mapping):
        kept = {key: _without_defaults(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part is not None and part != {} and part != []}
    return value


def _evaluation(facts: CardFacts, found: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    splits = list(found)
    names = list(dict.fromkeys(name for split in splits for name in found[split]))
    rows = [[name, *(_interval(found[split].get(name)) for split in splits)] for name in names]
    head = ["metric", *(f"{SPLITS[split]} ({len(facts.predictions[split]):,} samples)" for split in splits)]
    lines = [*_table(head, rows), "", "In brackets: 95 % intervals of the bootstrap over samples."]
    if "val" in splits:
        lines[-1] += " The best epoch was chosen by the validation samples, so their numbers are a little too good."
    used = [use.get("by") for use in facts.record.get("test_set_used") or []]
    others = sorted({str(by) for by in used if by not in _ONLY_TOLD})
    if "test" in splits and others:
        lines += ["", f"The test samples also served `{'`, `'.join(others)}`: their numbers may be too good as well."]
    split = "test" if "test" in found else splits[0]
    classes = per_class(facts.predictions[split])
    if classes:
        head = ["class" if facts.predictions[split].task != "multilabel" else "label", "precision", "recall", "f1"]
        rows = [
            [name, *(f"{each[key]:.4f}" for key in ("precision", "recall", "f1")), f"{each['support']:,.0f}"]
            for name, each in list(classes.items())[:_CLASSES]
        ]
        lines += ["", f"Of each class, on the {SPLITS[split]} samples:", "", *_table([*head, "samples"], rows)]
    return lines


def _usage(facts: CardFacts) -> list[str]:
    module, _, name = facts.model.rpartition(".")
    place = "fulmen" if module.partition(".")[0] == "fulmen" else module
    return [
        "```",
        "pip install fulmen",
        f"lightning predict --config config.yaml --ckpt_path {facts.checkpoint} --output predictions.csv",
        f"lightning test    --config config.yaml --ckpt_path {facts.checkpoint}",
        "```",
        "",
        "```python",
        f"from {place} import {name}",
        "",
        f'model = {name}.load_from_checkpoint("{facts.checkpoint}").eval()  # torch\'s safe loading',
        "```",
    ]


def _reproducing(facts: CardFacts) -> list[str]:
    environment = facts.environment
    lines = ["```", "lightning fit --config config.yaml", "```", ""]
    lines.append(
        "On the same machine this gives the same numbers; what differs from where it was trained is said first."
    )
    used = environment.get("used") or {}
    if used:
        lines += [
            "",
            "It needs these plugins: " + " ".join(f"`{name}=={version}`" for name, version in used.items()) + ".",
        ]
    state = environment.get("git") or {}
    if state.get("commit"):
        changed = ", with changes that were not committed" if state.get("dirty") else ""
        lines += ["", f"Trained at commit `{state['commit']}`{changed}."]
    if environment.get("started"):
        lines += ["", f"Trained on {environment['started'][:10]} with `{environment.get('command')}`."]
    return lines


def _interval(found: Interval | None) -> str:
    return "-" if found is None else f"{found.value:.4f} ({found.low:.4f} .. {found.high:.4f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[plain(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    return [f"| {' | '.join(cells[0])} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in cells[1:])]
