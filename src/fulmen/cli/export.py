"""`lightning export`: a trained model as a file for use elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import ConfigError, unknown

if TYPE_CHECKING:
    from fulmen.workflows.exporting.export import Written

_FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning export`.

    Args:
        command: ``export``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command, or if the file says something else than the model.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    formats = [check_format(name) for name in own.to.split(",")]
    if own.out is not None and len(formats) > 1 and own.out.suffix:
        raise ConfigError(f"out: {str(own.out)!r} is one file, and there are {len(formats)} formats; give a folder")
    if own.samples < 1:
        raise ConfigError(f"samples: {own.samples} is out of range; allowed: at least 1")
    if "onnx" in formats:
        from fulmen.workflows.exporting.onnx_file import require_onnx

        require_onnx()  # before minutes of loading

    from fulmen.cli.made import make_trained, trained_checkpoint
    from fulmen.workflows import export

    rest, checkpoint = trained_checkpoint(rest)
    files = [target(own.out, checkpoint, name) for name in formats]
    model, data = make_trained(rest)
    facts = {"checkpoint": checkpoint.name, "metrics": metrics(checkpoint)}
    for file in files:
        print(said(export(model, data, file, own.calibrate, own.samples, **facts)))


def check_format(name: str) -> str:
    """A format's name.

    Raises:
        ConfigError: If there is no such format.
    """
    name = name.strip()
    if name not in _FORMATS:
        raise ConfigError(f"to: {unknown('format', name, _FORMATS)}")
    return name


def target(out: Path | None, checkpoint: Path, name: str) -> Path:
    """The file that is written: the one that is given, or ``model`` in the given or the run's folder.

    Args:
        out: A file or a folder.
        checkpoint: What is exported.
        name: The format.

    Raises:
        ConfigError: If the file ends otherwise than the format does.

    >>> target(None, Path("runs/a/version_0/checkpoints/best.ckpt"), "torch").as_posix()
    'runs/a/version_0/model.pt2'
    """
    ending = _FORMATS[name]
    if out is None:
        folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else Path()
        return folder / f"model{ending}"
    if out.is_dir() or not out.suffix:
        return out / f"model{ending}"
    if out.suffix != ending:
        raise ConfigError(f"out: {str(out)!r} ends in {out.suffix}; a file of `--to {name}` ends in {ending}")
    return out


def metrics(checkpoint: Path) -> dict[str, Any]:
    """What the run's record says of its best model; of other checkpoints nothing is known."""
    from fulmen.cli import runs

    folder = checkpoint.parent.parent
    if not (folder / runs.RECORD).is_file():
        return {}
    record = runs.read_record(folder)
    if record.get("best") != f"{runs.CHECKPOINTS}/{checkpoint.name}":
        return {}
    return {**record.get("best_epoch", {}), **record.get("scores", {})}


def said(written: Written) -> str:
    """What was written, how large it is, and how near to the model."""
    parity, about = written.parity, written.about
    size = written.path.stat().st_size
    unit = "standard deviations" if about["task"] == "regression" else "in probabilities"
    same = "" if about["task"] == "regression" else ", the same labels"
    lines = [
        f"{written.path}  {f'{size / 1e6:.1f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'}",
        f"  parity      {parity.samples} {parity.split} samples: at most {parity.difference:.1e} {unit}{same}",
    ]
    if parity.shapes is not None:
        lines.append(f"              images of other sizes: at most {parity.shapes:.1e}")
    if parity.full_decoding is not None and parity.full_decoding > parity.tolerance:
        lines.append(
            f"  note        training decodes large JPEGs at a lower resolution; decoded in full, as other programs do, "
            f"probabilities differ by up to {parity.full_decoding:.1e}"
        )
    if "calibration" in about:
        before, after = about["calibration"]["before"], about["calibration"]["after"]
        changes = [f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before if name in after]
        lines.append(f"  temperature {about['temperature']:.4f}: {', '.join(changes)} (validation)")
    lines += [
        f"  {verb}       {one['name']} {one['dtype']} ({', '.join(map(str, one['shape']))})"
        for verb, ones in (("takes", about["inputs"]), ("gives", about["outputs"]))
        for one in ones
    ]
    if about["input"]["kind"] == "tensors":
        lines.append(f"  note        {about['input']['outside']}")
    lines += [f"  beside      {path}" for path in written.beside]
    return "\n".join(lines)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --ckpt_path RUN|FILE --to onnx|torch|safetensors [--KEY VALUE ...] [options]",
        description="Writes a trained model with its preprocessing as one file, and checks on real samples that it "
        "says what the model says. --ckpt_path is a run's folder, a checkpoint, or with --config best or last; keys "
        "such as --data.root FOLDER work as with `lightning test`. "
        "`lightning predict --model FILE --data ...` uses the file.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--to", default="onnx", help="onnx, torch (.pt2) or safetensors; several with commas between (onnx)"
    )
    parser.add_argument("--out", type=Path, help="file or folder (model.onnx, ... in the run's folder)")
    parser.add_argument(
        "--calibrate", action="store_true", help="divide logits by the temperature that suits the validation split"
    )
    parser.add_argument("--samples", type=int, default=64, help="samples on which file and model are compared (64)")
    return parser
