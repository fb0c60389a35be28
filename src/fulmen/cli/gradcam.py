"""`lightning gradcam`: where in images a trained model finds what speaks for a class."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.workflows import Mistake

_ACROSS = 4
WRONG, QUIET = "#b03020", "#606060"


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning gradcam`.

    Args:
        command: ``gradcam``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command, or if the model or the data have no maps.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    if own.samples < 1:
        raise ConfigError(f"samples: {own.samples} is out of range; allowed: at least 1")

    from fulmen.cli.looking import look
    from fulmen.cli.made import make_trained
    from fulmen.cli.sheet import Cell, draw_cells
    from fulmen.workflows.mistakes import chosen_split, judge

    model, data = make_trained(rest)
    split = chosen_split(data, own.split)
    dataset: Any = data.datasets[split]
    count = min(own.samples, len(dataset))
    rows = [i * len(dataset) // count for i in range(count)]
    maps = look(model, data, split, rows, own.label, own.layer)
    judged = judge(model, data, split, rows)
    cells = [
        Cell([picture, lit], caption(mistake, with_loss=False))
        for picture, lit, mistake in zip(maps.pictures, maps.overlays, judged, strict=True)
    ]
    asked = f" of {own.label}" if own.label is not None else ""
    draw_cells(f"Grad-CAM{asked}, {split} samples, layer {maps.layer}", cells, min(_ACROSS, -(-count // 2)), own.out)
    what = f"speaks for {own.label}" if own.label is not None else "speaks for the prediction"
    print(f"{own.out}: {count} {split} samples, each beside what {what}; layer: {maps.layer}")


def caption(mistake: Mistake, with_loss: bool) -> list[tuple[str, str]]:
    """What stands below a picture: its name, and what the model says of it, red where that is wrong.

    Args:
        mistake: A sample, wrong or not.
        with_loss: Whether the loss is told as well.
    """
    verdict = mistake.answer + ("" if mistake.wrong is False else f", is {mistake.target}")
    loss = [(f"loss {mistake.loss:.3g}", QUIET)] if with_loss else []
    return [(verdict, WRONG if mistake.wrong else "black"), *loss, (str(mistake.sample), QUIET)]


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--ckpt_path best] [--KEY VALUE ...] [options]",
        description="Draws samples beside their Grad-CAM (Selvaraju et al. 2017): from yellow to red, the more a place "
        "speaks for the class that the model predicts. For CNNModule, TransferModule and networks with convolutions. "
        "--ckpt_path is best (of the config's newest run), last, a path, or none; keys such as --data.root FOLDER work "
        "as with `lightning test`.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, default=Path("gradcam.png"), help="file of the sheet (gradcam.png)")
    parser.add_argument("--samples", type=int, default=8, help="how many samples, spread over the split (8)")
    parser.add_argument("--split", help="train, val or test (val, or test where there is none)")
    parser.add_argument("--class", dest="label", metavar="NAME", help="look for this class, not the predicted one")
    parser.add_argument("--layer", metavar="NAME", help="name of the layer to look at, such as layer3 or blocks.4")
    return parser
