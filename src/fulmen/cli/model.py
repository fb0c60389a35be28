"""`lightning model`: what of a model is trained, from when on, and at which rate."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError
from fulmen.core.spec import read

if TYPE_CHECKING:
    from fulmen.modules import SupervisedModule
    from fulmen.modules.training_plan import Part

_HEAD = ("stage", "modules", "parameters", "trains", "learning rate", "statistics")
_SHOWN = 3


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning model`.

    Args:
        command: ``model``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    invocation = Invocation.read("fit", rest)

    from fulmen.cli.made import make
    from fulmen.modules import SupervisedModule
    from fulmen.modules.training_plan import training_plan

    made = make(invocation)
    model = made.model
    if not isinstance(model, SupervisedModule):
        raise ConfigError(f"model: {type(model).__name__} is no SupervisedModule, whose optimizer this command asks")
    parts = training_plan(model)
    print(_as_json(model, parts) if own.format == "json" else _report(model, parts, made.options["max_epochs"]))


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--KEY VALUE ...] [--format table|json]",
        description="Prints what of a config's model is trained, what is frozen, from which epoch on and at which "
        "learning rate, the number of parameters, and whether the statistics of norm layers follow the data. Trains "
        "nothing, and makes no folder. Keys such as --model.freeze 3 work as with `lightning fit`.",
        allow_abbrev=False,
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    return parser


def _report(model: SupervisedModule, parts: Sequence[Part], max_epochs: int | None) -> str:
    name = type(model).__name__
    backbone = model.hparams.get("backbone")
    lines = [f"{name}: {backbone}" if backbone else name, "", table(parts), "", totals(parts)]
    lines += [f"{key}: {value}" for key, value in _training(model).items() if value]
    late = [epoch for epoch in _epochs(parts) if max_epochs is not None and 0 <= max_epochs <= epoch]
    if late:
        epochs = ", ".join(map(str, late))
        lines.append(f"epochs {epochs} are never reached (trainer.max_epochs is {max_epochs})")
    swap = getattr(model.network, "swap", None)
    if swap is not None and (swap.exchanged or swap.left):
        lines += ["", *swap.lines()]
    return "\n".join(lines)


def table(parts: Sequence[Part]) -> str:
    """A line a part.

    Args:
        parts: What a model consists of.

    >>> from fulmen.modules.training_plan import Part
    >>> stem = Part("stem", ("conv1", "bn1"), 9408, {}, (), 1, {})
    >>> print(table([stem, Part("fc", ("fc",), 1026, {0: 1026}, (1e-3,), 0, {})]))
    stage  modules     parameters  trains  learning rate  statistics
    stem   conv1, bn1       9,408  no      -              rest
    fc     fc               1,026  yes     0.001          -
    """
    rows = [_HEAD, *(_row(part) for part in parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{c:>{w}}" if i == 2 else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def totals(parts: Sequence[Part]) -> str:
    """How many parameters are trained, and how many are frozen for good.

    Args:
        parts: What a model consists of.

    >>> from fulmen.modules.training_plan import Part
    >>> print(totals([Part("a", ("a",), 70, {3: 60}, (), 0, {}), Part("b", ("b",), 5, {0: 5}, (), 0, {})]))
    parameters: 75
    trained: 5 at first, 65 from epoch 3 on
    frozen throughout: 10
    """
    whole, trained = sum(part.parameters for part in parts), 0
    said = []
    for epoch in _epochs(parts):
        trained += sum(part.trained.get(epoch, 0) for part in parts)
        said.append(f"{trained:,} {'at first' if not epoch else f'from epoch {epoch} on'}")
    if len(said) == 1:
        said = [f"{trained:,}"]
    return f"parameters: {whole:,}\ntrained: {', '.join(said)}\nfrozen throughout: {whole - trained:,}"


def _epochs(parts: Sequence[Part]) -> list[int]:
    return sorted({0, *(epoch for part in parts for epoch in part.trained)})


def _row(part: Part) -> tuple[str, ...]:
    modules = ", ".join(part.modules[:_SHOWN]) + (", ..." if len(part.modules) > _SHOWN else "")
    rates = " to ".join(f"{rate:.3g}" for rate in dict.fromkeys((part.rates[0], part.rates[-1]))) if part.rates else "-"
    return (
        part.name,
        modules,
        f"{part.parameters:,}",
        _since(part.trained, part.parameters, "yes", "no"),
        rates if part.rates or not part.trained else "own",
        _since(part.moving, part.statistics, "move", "rest") if part.statistics else "-",
    )


def _since(found: Mapping[int, int], whole: int, yes: str, no: str) -> str:
    """Since when something is so, and for how many if not for all.

    >>> _since({0: 5}, 5, "yes", "no"), _since({3: 5}, 5, "yes", "no"), _since({}, 5, "yes", "no")
    ('yes', 'from epoch 3', 'no')
    >>> _since({0: 2, 3: 1}, 5, "move", "rest")
    '2 of 5, 3 of 5 from epoch 3'
    """
    if not found:
        return no
    said, count = [], 0
    for epoch, number in found.items():
        count += number
        words = [f"{count:,} of {whole:,}"] if count < whole or len(found) > 1 else []
        said.append(" ".join([*words, *([f"from epoch {epoch}"] if epoch else [])]) or yes)
    return ", ".join(said)


def _training(model: SupervisedModule) -> dict[str, str | None]:
    from fulmen.modules import SupervisedModule

    if type(model).configure_optimizers is not SupervisedModule.configure_optimizers:
        return {"optimizer": f"{type(model).__name__}'s own"}
    schedule = model.hparams.get("schedule")
    return {
        "optimizer": _name("optimizers", model.hparams["optimizer"]),
        "schedule": None if schedule is None else f"{_name('schedules', schedule)}, which changes all rates alike",
    }


def _name(kind: str, spec: Any) -> str:
    return read(kind, spec)[0] if isinstance(spec, str | Mapping) else str(spec)


def _as_json(model: SupervisedModule, parts: Sequence[Part]) -> str:
    swap = getattr(model.network, "swap", None)
    return json.dumps(
        {
            "model": type(model).__name__,
            "backbone": model.hparams.get("backbone"),
            **_training(model),
            "parts": [part._asdict() for part in parts],
            "activation_swap": None if swap is None else swap._asdict(),
        },
        indent=2,
    )
