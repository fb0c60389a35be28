"""`lightning augment`: what the augmentations of a config do, as a sheet of images or a table of texts."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError, FulmenError
from fulmen.core.registry import registry
from fulmen.core.spec import read, resolve

_TRIES = 100


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes:
        out: File of the sheet.
        samples: How many samples are shown.
        views: In how many epochs.
        texts: Texts that are augmented instead of the data's samples.
        specs: Specs that replace those of the config.
        seed: Seed of the run.
    """

    out: Path
    samples: int
    views: int
    texts: list[str]
    specs: list[Any] | None
    seed: int


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning augment`.

    Args:
        command: ``augment``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    parser = _parser(command)
    own, rest = parser.parse_known_args(arguments)
    invocation = Invocation.read(command, rest)
    if own.samples < 1 or own.views < 1:
        raise ConfigError(f"samples: {own.samples} and views: {own.views} must be at least 1")
    given = [config["seed_everything"] for config in invocation.configs.values() if "seed_everything" in config]
    seed = _seed([*given, *([own.seed_everything] if own.seed_everything is not None else [])])
    options = Options(own.out, own.samples, own.views, own.text, _specs(own.augment), seed)
    if options.texts:
        print(_table_of(options.texts, options, _given(invocation) if options.specs is None else options.specs))
    elif not invocation.class_path("data"):
        raise ConfigError("data: nothing is given; give --config FILE or --data CLASS for samples, or --text TEXT")
    else:
        print(_of_data(invocation, options))


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--KEY VALUE ...] [options]",
        description="Shows what augmentations do to the training samples of a config whose data have `augment: [...]`: "
        "a sheet of images, or a table of texts. Keys such as --data.root FOLDER work as with `lightning fit`.",
        allow_abbrev=False,
    )
    parser.add_argument("--augment", metavar="SPECS", help="instead of the config's, such as '[flip, {name: rotate}]'")
    parser.add_argument("--out", type=Path, default=Path("augment.png"), help="file of the sheet (augment.png)")
    parser.add_argument("--samples", type=int, default=4, help="how many training samples (4)")
    parser.add_argument("--views", type=int, default=3, help="in how many epochs (3)")
    parser.add_argument("--seed_everything", metavar="SEED", help="instead of the config's seed")
    parser.add_argument("--text", action="append", default=[], help="augment this text; may be given again")
    return parser


def _seed(given: list[Any]) -> int:
    """The seed that `lightning fit` would train with: the last one that is given."""
    last = given[-1] if given else None
    if last is None or isinstance(last, bool) or last in ("null", "true", "false"):
        return 0
    try:
        return int(last)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seed_everything: {last!r} is not allowed; write a whole number") from error


def _specs(text: str | None) -> list[Any] | None:
    if text is None:
        return None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"augment: {text!r} is no valid YAML: {error}") from error
    if not found:
        raise ConfigError(f"augment: {text!r} names none; write '[flip, {{name: rotate, degrees: 20}}]'")
    return found if isinstance(found, list) else [found]


def _given(invocation: Invocation) -> list[Any]:
    """The specs of a config's data, before anything is made of it."""
    found: list[Any] = []
    for config in invocation.configs.values():
        data = config.get("data")
        found = ((data.get("init_args") or {}).get("augment") or found) if isinstance(data, dict) else found
    return found


# Texts


def _table_of(texts: Sequence[str], options: Options, specs: list[Any]) -> str:
    """A table of texts before and after each augmentation, and after all of them in some epochs."""
    import torch

    from fulmen.augment import TextPipeline
    from fulmen.cli.marks import marked

    rows = torch.arange(len(texts))
    alone = specs or registry().names("text_augmentations")
    if not alone:
        raise ConfigError("augment: no text augmentation is installed: pip install fulmen-nlpaug")
    columns: list[tuple[str, list[str]]] = [("", list(texts))]
    for spec in alone:
        name = read("text_augmentations", spec)[0]
        try:
            one = TextPipeline([spec], options.seed)
        except FulmenError as error:
            if specs:
                raise
            columns.append((name, [f"({str(error.args[0]).splitlines()[0]})"]))
            continue
        columns.append((name, [marked(text, _first_change(one, text)) for text in texts]))
    if len(specs) > 1:
        pipeline = TextPipeline(specs, options.seed)
        for epoch in range(options.views):
            after = pipeline(texts, rows, epoch)
            columns.append((f"epoch {epoch}", [marked(*pair) for pair in zip(texts, after, strict=True)]))
    width = max(len(name) for name, _ in columns)
    blocks = [
        "\n".join(f"{name:<{width}}  {found[i]}" for name, found in columns if i < len(found))
        for i in range(len(texts))
    ]
    return "\n\n".join(blocks)


def _first_change(pipeline: Any, text: str) -> str:
    """The text in the first of some epochs that changes it: what is rare is to be seen as well."""
    import torch

    row = torch.tensor([0])
    views = (pipeline([text], row, epoch)[0] for epoch in range(_TRIES))
    return next((view for view in views if view != text), text)


# The data of a config


def _of_data(invocation: Invocation, options: Options) -> str:
    from lightning.pytorch import seed_everything

    from fulmen.augment import TextPipeline
    from fulmen.cli.data import make_data

    seed_everything(options.seed, verbose=False)
    data = make_data(invocation, "which has `augment`")
    specs = data.augment if options.specs is None else options.specs
    if not specs:
        raise ConfigError("augment: the data have none; write `augment: [...]` there, or give --augment '[...]'")
    data.prepare_data()
    data.setup("fit")
    pipeline = data.build_pipeline(specs)
    dataset = data.datasets["train"]
    count = min(options.samples, len(dataset))
    rows = [i * len(dataset) // count for i in range(count)]
    if isinstance(pipeline, TextPipeline):
        texts: Any = getattr(dataset, "whole", dataset.__getitems__)(rows).inputs
        return _table_of(texts, options, specs)
    return _draw(data, dataset, rows, specs, options)


def _draw(data: Any, dataset: Any, rows: list[int], specs: list[Any], options: Options) -> str:
    from fulmen.cli.sheet import Column, draw
    from fulmen.data.augmented import Augmented

    def column(title: str, note: str, chosen: list[Any], epoch: int = 0) -> Column:
        samples = Augmented(dataset, data.build_pipeline(chosen))
        return Column(title, note, samples.__getitems__([epoch * len(dataset) + row for row in rows]).inputs)

    columns = [Column("original", "", dataset.__getitems__(rows).inputs)]
    for spec in specs:
        always, note = _always(spec)
        columns.append(column(read("image_augmentations", spec)[0], note, [always]))
    columns += [column(f"epoch {epoch}", "as trained on", specs, epoch) for epoch in range(options.views)]
    draw(columns, options.out)
    names = ", ".join(c.title for c in columns[1 : len(specs) + 1])
    return f"{options.out}: {len(rows)} training samples; each alone ({names}), then all of them, epoch by epoch"


def _always(spec: Any) -> tuple[Any, str]:
    """The spec with probability 1, where it has one, and a note of the probability that it has in training."""
    _, target, given = resolve("image_augmentations", spec)
    parameter = inspect.signature(target).parameters.get("p")
    if parameter is None:
        return spec, ""
    p = given.get("p", parameter.default)
    return {"name": read("image_augmentations", spec)[0], **given, "p": 1.0}, f"p = {p:g}"
