"""`lightning find-batch-size`: which batch size trains fastest, and what memory it takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_only

from fulmen.cli.chart import Chart, check_ending, draw_chart
from fulmen.cli.config_edit import add_write_option, find_target, write
from fulmen.cli.invocation import Invocation

if TYPE_CHECKING:
    from fulmen.workflows import SizeSearch

_KEYS = ("data", "init_args", "batch_size")
_MIB = 2**20
_ENDS = {
    "highest": "larger sizes: --highest",
    "samples": "there are no more training samples",
    "memory": "memory ends here",
}


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning find-batch-size`.

    Args:
        command: ``find-batch-size``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    invocation = Invocation.read("fit", rest)
    target = None if own.write is None else find_target(invocation, own.write, _KEYS)
    check_ending(own.out)

    from fulmen.cli.made import make
    from fulmen.workflows import find_batch_size

    made = make(invocation)
    search = find_batch_size(made.model, made.datamodule, own.highest, own.steps, made.options)
    _report(search, own.out)
    if target is not None:
        write(target, _KEYS, str(search.suggestion), {"data": invocation.class_path("data") or ""})


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--KEY VALUE ...] [options]",
        description="Trains copies of a config's model with batches of 1, 2, 4, ... samples for some steps each; "
        "prints and plots samples a second and memory, and suggests the smallest size that reaches 95 %% of the best "
        "speed. It ends where memory ends, where a batch would hold all training samples, or at --highest. Another "
        "size asks for another learning rate: lightning find-lr.",
        allow_abbrev=False,
    )
    parser.add_argument("--highest", type=int, default=1024, help="largest size that is tried (1024)")
    parser.add_argument("--steps", type=int, default=10, help="timed optimizer steps a size, after two others (10)")
    parser.add_argument(
        "--out", type=Path, default=Path("find-batch-size.png"), help="file of the plot (find-batch-size.png)"
    )
    add_write_option(parser)
    return parser


@rank_zero_only
def _report(search: SizeSearch, out: Path) -> None:
    print(table(search))
    timed = [(trial.size, trial.samples_per_second) for trial in search.trials if trial.samples_per_second is not None]
    chart = Chart(
        title="Training speed by batch size",
        x=("batch size", [size for size, _ in timed]),
        y=("samples / second", [speed for _, speed in timed]),
        marks={"suggestion": search.suggestion},
        base=2,
    )
    draw_chart(chart, out)
    print(f"plot: {out}")


def table(search: SizeSearch) -> str:
    """The trials, and what they mean.

    Args:
        search: What was measured.
    """
    lines = [f"{'batch size':>10}  {'samples/s':>10}  {'peak memory':>11}"]
    for trial in search.trials:
        speed = "-" if trial.samples_per_second is None else f"{trial.samples_per_second:,.0f}"
        memory = "-" if trial.memory is None else f"{trial.memory / _MIB:,.0f} MiB"
        note = trial.note or ("suggestion" if trial.size == search.suggestion else "")
        lines.append(f"{trial.size:>10}  {speed:>10}  {memory:>11}  {note}".rstrip())
    lines += [f"({_ENDS[search.ended]})", ""]
    lines.append(
        f"suggestion: batch_size {search.suggestion} (the smallest that reaches 95 % of the best speed); another size "
        "asks for\nanother learning rate: lightning find-lr"
    )
    return "\n".join(lines)
