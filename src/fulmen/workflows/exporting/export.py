"""A trained module as a file for use elsewhere, compared with the module before it gets its name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fulmen.core.errors import CheckpointError, ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule
from fulmen.workflows.exporting.calibration import fit_temperature
from fulmen.workflows.exporting.describing import describe
from fulmen.workflows.exporting.parity import Parity, check_parity, raw_samples
from fulmen.workflows.exporting.program import make_program, trace
from fulmen.workflows.exporting.running import ENDINGS, load_exported

Write = Callable[[Mapping[str, Any], Path], None]


@dataclass(frozen=True)
class Written:
    """An exported model.

    Attributes:
        path: The file.
        beside: Files of what it cannot hold, or what people like to read: the description, the tokenizer.
        about: The description.
        parity: How far it is from the trained module.
    """

    path: Path
    beside: list[Path]
    about: dict[str, Any]
    parity: Parity


def export(
    module: SupervisedModule,
    data: SupervisedDataModule,
    path: str | Path,
    calibrate: bool = False,
    samples: int = 64,
    **facts: Any,
) -> Written:
    """Writes a trained module, with what its data do to samples, to a file, and compares the two on real samples.

    The file takes raw samples (uint8 images of any size, token numbers, rows of a table) in batches of any size, and
    gives probabilities and predictions, or values. What it holds is told in JSON, in the file and beside it.

    Args:
        module: A trained module.
        data: Its data, set up.
        path: ``.onnx`` (ONNX), ``.pt2`` (torch's exported program) or ``.safetensors`` (weights and the module's
            arguments).
        calibrate: Whether logits are divided by the temperature that suits the validation split best.
        samples: How many samples are compared.
        **facts: What else the description is to say, of JSON's types: metrics, the checkpoint.

    Raises:
        ConfigError: If the module cannot be exported.
        CheckpointError: If the file says something else than the module; it is then removed.
    """
    path = Path(path)
    if path.suffix not in ENDINGS.values():
        raise ConfigError(f"path: {unknown('ending', path.suffix, ENDINGS.values())} ({path})")
    about = describe(module, data)
    if calibrate:
        about["temperature"], about["calibration"] = _calibrated(module, data)
    about |= json.loads(json.dumps(facts))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK)
    except OSError as error:
        raise ConfigError(f"out: {str(path.parent)!r} cannot be written ({error})") from error
    if not writable:
        raise ConfigError(f"out: {str(path.parent)!r} cannot be written; give a folder that you may write into")
    draft = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with _on_cpu(module):  # where files are run; GPUs round convolutions more coarsely
            write = _WRITERS[path.suffix](module, data, about)
            write(about, draft)
            parity = check_parity(load_exported(draft), module, data, samples)
            parity.check()
            about["parity"] = parity.facts()
            write(about, draft)
            _check_again(draft, data, parity.split)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return Written(path, _write_beside(about, path), about, parity)


@contextmanager
def _on_cpu(module: SupervisedModule) -> Iterator[None]:
    device = module.device
    module.cpu()
    try:
        yield
    finally:
        module.to(device)


def _calibrated(module: SupervisedModule, data: SupervisedDataModule) -> tuple[float, dict[str, Any]]:
    """The temperature, and what it does to the scores that it is for."""
    from fulmen.callbacks.recording import make_predictions
    from fulmen.evaluation.metrics import scores
    from fulmen.workflows.collecting import collect_predictions

    if module.task.name == "regression":
        raise ConfigError("calibrate: a regression has no probabilities to calibrate; leave it out")
    if "val" not in data.datasets:
        raise ConfigError("calibrate: there is no validation split, whose predictions it needs; set data.val_fraction")
    before = collect_predictions(module, data, "val", {"accelerator": module.device.type, "devices": 1})
    assert before.logits is not None
    temperature = fit_temperature(before.logits, before.targets, module.task.name)
    logits, targets = torch.from_numpy(before.logits / temperature), torch.from_numpy(before.targets)
    after = make_predictions(module.task, logits, targets, before.samples, "val")
    found = {"before": scores(before), "after": scores(after)}
    shown = ("calibration_error", "log_loss", "brier")
    return temperature, {
        "split": "val",
        "samples": len(before),
        **{when: {name: float(s[name]) for name in shown if name in s} for when, s in found.items()},
    }


def _check_again(draft: Path, data: SupervisedDataModule, split: str) -> None:
    """Opens what is handed over once more: it was written again, with what the comparison found."""
    answers = load_exported(draft).predict(raw_samples(data, split, [0]))
    if not np.isfinite(answers.prediction).all():
        raise CheckpointError("export: the prediction of a sample is not finite; did the training diverge?")


def _write_beside(about: Mapping[str, Any], path: Path) -> list[Path]:
    """Writes the description, and a tokenizer as the library tokenizers reads it."""
    files = [path.with_name(f"{path.name}.json")]
    files[0].write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if about["input"]["kind"] == "texts":
        files.append(path.with_name(f"{path.stem}.tokenizer.json"))
        files[1].write_text(about["input"]["tokenizer"], encoding="utf-8")
    return files


def _onnx(module: SupervisedModule, data: SupervisedDataModule, about: dict[str, Any]) -> Write:
    from fulmen.workflows.exporting.onnx_file import require_onnx, string_inputs, to_onnx, write_onnx

    require_onnx()
    model = to_onnx(trace(make_program(module, data, about), about), about)
    string_inputs(about)
    return lambda facts, path: write_onnx(model, facts, path)


def _torch(module: SupervisedModule, data: SupervisedDataModule, about: dict[str, Any]) -> Write:
    from fulmen.workflows.exporting.torch_file import write_torch

    traced = trace(make_program(module, data, about), about)
    return lambda facts, path: write_torch(traced, facts, path)


def _safetensors(module: SupervisedModule, data: SupervisedDataModule, about: dict[str, Any]) -> Write:
    from fulmen.workflows.exporting.safetensors_file import write_safetensors

    if module._objects:
        raise ConfigError(
            f"model: {type(module).__name__} was made with objects ({', '.join(module._objects)}), which a file of "
            "weights cannot hold; use onnx or torch"
        )
    tensors = data.statistics if about["input"]["kind"] == "arrays" else {}
    return lambda facts, path: write_safetensors(module, tensors, facts, path)


_WRITERS: dict[str, Callable[[SupervisedModule, SupervisedDataModule, dict[str, Any]], Write]] = {
    ".onnx": _onnx,
    ".pt2": _torch,
    ".safetensors": _safetensors,
}
