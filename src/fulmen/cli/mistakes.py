"""`lightning mistakes`: the samples that a trained model is most wrong about."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.aligned import aligned
from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.data import SupervisedDataModule
    from fulmen.modules import SupervisedModule
    from fulmen.workflows import Mistakes

_OUT = Path("mistakes.png")
_ACROSS = {False: 6, True: 4}
_LONGEST = 60


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning mistakes`.

    Args:
        command: ``mistakes``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    own, rest = _parser(command).parse_known_args(arguments)

    from fulmen.cli.looking import are_images
    from fulmen.cli.made import make_trained
    from fulmen.workflows import worst_mistakes

    model, data = make_trained(rest)
    pictured = are_images(data)
    if not pictured and (own.out is not None or own.gradcam):
        option = "gradcam" if own.gradcam else "out"
        raise ConfigError(f"{option}: samples of {type(data).__name__} are no images to draw; leave it out")
    found = worst_mistakes(model, data, own.split, own.samples)
    print(table(found, _excerpts(data, found)))
    if pictured:
        out = own.out or _OUT
        _draw(model, data, found, own.gradcam, out)
        print(f"\n{out}: the same as pictures")


def table(found: Mistakes, excerpts: list[str]) -> str:
    """The worst samples, a row each.

    Args:
        found: What was found.
        excerpts: The beginning of each one's text; empty where samples are no texts.
    """
    head = ["loss", "prediction", "target", "sample", *(["text"] if excerpts else [])]
    rows = []
    for i, mistake in enumerate(found.worst):
        right = ", right" if mistake.wrong is False else ""
        rows.append(
            [f"{mistake.loss:.3g}", f"{mistake.answer}{right}", mistake.target, str(mistake.sample)]
            + ([excerpts[i]] if excerpts else [])
        )
    wrong = "" if found.wrong is None else f"{found.wrong:,} of "
    kind = "samples are predicted wrongly" if wrong else "samples"
    tally = f"{wrong}{found.samples:,} {found.split} {kind}; their mean loss is {found.mean_loss:.4g}"
    return "\n".join([tally, "", *aligned(head, rows)])


def _excerpts(data: SupervisedDataModule, found: Mistakes) -> list[str]:
    """How texts begin; nothing for other samples."""
    dataset: Any = data.datasets[found.split]
    whole: Any = dataset.whole([mistake.row for mistake in found.worst]).inputs if hasattr(dataset, "whole") else []
    texts = [" ".join(text.split()) for text in whole if isinstance(text, str)]
    return [text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..." for text in texts]


def _draw(model: SupervisedModule, data: SupervisedDataModule, found: Mistakes, gradcam: bool, out: Path) -> None:
    from fulmen.cli.gradcam import caption
    from fulmen.cli.looking import look, pictures
    from fulmen.cli.sheet import Cell, draw_cells

    rows = [mistake.row for mistake in found.worst]
    if gradcam:
        maps = look(model, data, found.split, rows)
        shown = [[picture, lit] for picture, lit in zip(maps.pictures, maps.overlays, strict=True)]
    else:
        shown = [[picture] for picture in pictures(data.datasets[found.split].__getitems__(rows).inputs)]
    cells = [Cell(images, caption(mistake, with_loss=True)) for images, mistake in zip(shown, found.worst, strict=True)]
    wrong = "" if found.wrong is None else f", {found.wrong:,} of {found.samples:,} wrong"
    title = f"Highest loss, {found.split} samples{wrong}"
    draw_cells(title, cells, _ACROSS[gradcam], out)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--ckpt_path best] [--KEY VALUE ...] [options]",
        description="Shows the samples of highest loss, as a table, and images as a sheet too. Mistaken labels and "
        "broken samples gather there. --ckpt_path is best (of the config's newest run), last, or a path; keys such as "
        "--data.root FOLDER work as with `lightning test`.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, help=f"file of the sheet of images ({_OUT})")
    parser.add_argument("--samples", type=int, default=24, help="how many samples (24)")
    parser.add_argument("--split", help="train, val or test (val, or test where there is none)")
    parser.add_argument("--gradcam", action="store_true", help="beside each image, what spoke for the prediction")
    return parser
