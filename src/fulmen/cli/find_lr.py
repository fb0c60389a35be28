"""`lightning find-lr`: which learning rate suits a config."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_only

from fulmen.cli.chart import Chart, check_ending, draw_chart
from fulmen.cli.config_edit import add_write_option, find_target, write
from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.workflows import RateSweep

_KEYS = ("model", "init_args", "optimizer", "lr")
_RULE = "where the smoothed loss has done 80 % of its fall"


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning find-lr`.

    Args:
        command: ``find-lr``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command, or if `--write` has nothing to write.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    invocation = Invocation.read("fit", rest)
    target = None if own.write is None else find_target(invocation, own.write, _KEYS)
    check_ending(own.out)

    from fulmen.cli.made import make
    from fulmen.workflows import find_learning_rate

    made = make(invocation)
    if made.checkpoint_file is not None:
        raise ConfigError("ckpt_path: a rate is sought for a model as it starts; leave it out")
    sweep = find_learning_rate(made.model, made.datamodule, own.lowest, own.highest, own.steps, made.options)
    _report(sweep, own.out)
    if target is None:
        return
    if sweep.suggestion is None:
        raise ConfigError("write: there is no suggestion to write; give more --steps, or another range")
    optimizer = made.model.hparams.get("optimizer")
    name = optimizer.get("name") if isinstance(optimizer, dict) else optimizer
    write(target, _KEYS, _number(sweep.suggestion), {"optimizer": name} if isinstance(name, str) else {})


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--KEY VALUE ...] [options]",
        description="Trains a copy of a config's model at rising learning rates, a step each, until the loss diverges "
        "(the range test of Smith 2017, https://arxiv.org/abs/1506.01186); prints and plots the loss, and suggests the "
        "rate where it has done 80 %% of its fall. Keys such as --data.batch_size 64 work as with `lightning fit`.",
        allow_abbrev=False,
    )
    parser.add_argument("--lowest", type=float, default=1e-7, help="first rate (1e-7)")
    parser.add_argument("--highest", type=float, default=10.0, help="last rate (10)")
    parser.add_argument("--steps", type=int, default=100, help="how many optimizer steps (100)")
    parser.add_argument("--out", type=Path, default=Path("find-lr.png"), help="file of the plot (find-lr.png)")
    add_write_option(parser)
    return parser


@rank_zero_only
def _report(sweep: RateSweep, out: Path) -> None:
    print(table(sweep))
    marks = {"lowest loss": sweep.lowest}
    if sweep.suggestion is not None:
        marks = {"suggestion": sweep.suggestion, **marks}
    chart = Chart(
        title="Learning-rate range test",
        x=("learning rate", sweep.rates),
        y=("training loss", sweep.losses),
        smoothed=sweep.smoothed,
        marks=marks,
    )
    draw_chart(chart, out)
    print(f"plot: {out}")


def table(sweep: RateSweep) -> str:
    """Some steps of the curve, and what they mean.

    Args:
        sweep: The curve.
    """
    count = len(sweep.rates)
    noted = {sweep.lowest: "lowest loss"}
    if sweep.suggestion is not None:
        noted[sweep.suggestion] = "suggestion"
    shown = [i for i, rate in enumerate(sweep.rates) if i % max(1, count // 10) == 0 or rate in noted]
    lines = [f"{'learning rate':>13}  {'loss':>8}"]
    for i in shown:
        note = noted.get(sweep.rates[i], "")
        lines.append(f"{sweep.rates[i]:>13.1e}  {sweep.smoothed[i]:>8.4g}  {note}".rstrip())
    lines.append("")
    if sweep.diverged:
        lines.append(f"stopped at {sweep.rates[-1]:.1e}, where the loss diverges")
    if sweep.suggestion is None:
        lines.append("no suggestion: the loss did not fall by more than the noise of batches, or at once; give another")
        lines.append("range (--lowest, --highest), more --steps, or larger batches")
    else:
        lines.append(f"suggestion: optimizer.lr {_number(sweep.suggestion)} ({_RULE})")
    return "\n".join(lines)


def _number(rate: float) -> str:
    """A rate with two digits, as YAML reads it as a number.

    >>> _number(0.0023101)
    '2.3e-3'
    """
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa}e{int(exponent):+d}"
