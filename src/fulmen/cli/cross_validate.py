"""`lightning cross_validate`: trains and scores on folds."""

from __future__ import annotations

import argparse
import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.aligned import aligned
from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.cli.fold_runs import FoldRuns
    from fulmen.cli.made import Made
    from fulmen.workflows.fold_plan import Folds, Plan
    from fulmen.workflows.fold_results import CrossValidation, FoldResult

_PAGE = "cross_validation.html"
_SHOWN = {
    "multiclass": ["accuracy", "balanced_accuracy", "f1", "auroc", "log_loss", "calibration_error"],
    "binary": ["accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "log_loss", "calibration_error"],
    "multilabel": ["exact_match", "accuracy", "f1", "f1_micro", "auroc", "average_precision", "log_loss"],
    "regression": ["mae", "rmse", "r2", "pearson", "median_absolute_error"],
}


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning cross_validate`.

    Args:
        command: ``cross_validate``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
        SystemExit: With code 1, if a fold failed.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    invocation = Invocation.read("fit", rest)

    from fulmen.cli import fold_folders as folders

    root = Path(invocation.runs_root) / invocation.name
    asked, folder = folders.Asked.of(_or(own.folds, 5), _or(own.repeats, 1), invocation), None
    if own.resume is not None:
        folder = folders.find_folder(own.resume, root)
        kept = folders.Asked.read(folder)
        given = asked if invocation.configs or invocation.typed else kept  # nothing given: as it was
        folds, repeats = _or(own.folds, kept.folds), _or(own.repeats, kept.repeats)
        folders.check_same(folder, kept, replace(given, folds=folds, repeats=repeats))
        asked, invocation = kept, Invocation.read("fit", kept.arguments(folder))
    _cross_validate(command, own, invocation, asked, root, folder)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _cross_validate(
    command: str, own: argparse.Namespace, invocation: Invocation, asked: Any, root: Path, folder: Path | None
) -> None:
    from fulmen.cli import fold_folders as folders
    from fulmen.cli.fold_runs import FoldRuns
    from fulmen.cli.processes import starts_processes
    from fulmen.workflows.fold_plan import plan_folds
    from fulmen.workflows.fold_results import gather

    made = _made(invocation)
    _check(made, own)
    plan = plan_folds(made.datamodule, asked.folds, asked.repeats, _stops(made))
    begun = folder
    folder = folder or folders.new_folder(root, asked)
    print(_opening(plan, folder, bool(begun)), flush=True)
    trains = FoldRuns(folder, asked.arguments(folder), plan, own.jobs, starts_processes(made.options))
    del made
    try:
        results, failed = _train(trains)
    except ConfigError:
        if begun is None:
            folders.clear(folder)  # it holds nothing but the mistake
        raise
    except (KeyboardInterrupt, SystemExit):  # Lightning ends the process where a person stops a training
        again = f"lightning {command} --resume {folder}" + (" --final" if own.final else "")
        print(f"\nstopped; folds that came to their end are kept. Go on with: {again}", flush=True)
        raise
    found = gather(plan, results, failed)
    found.write(folder)
    final = _final(trains, found, own.final)
    _write_page(found, folder, invocation, final)
    print(closing(found, folder, final), flush=True)
    if failed or (final and "failed" in final):
        again = f"lightning {command} --resume {folder}" + (" --final" if own.final else "")
        print(f"\nnot complete; when the cause is mended: {again}")
        raise SystemExit(1)


def _made(invocation: Invocation) -> Made:
    """Model, data and options, made once so that whatever is wrong with them is said before anything is trained.

    The data are made for folds: without, some would be divided as for one `fit`, which few groups may not allow.
    """
    from fulmen.cli.data import resolve
    from fulmen.cli.fitting import kept_process, logged_to
    from fulmen.cli.made import make
    from fulmen.data import SupervisedDataModule

    _check_folds(invocation)
    kind = resolve(invocation.class_path("data"))
    divided = kind is not None and issubclass(kind, SupervisedDataModule)
    more = ["--data.folds", "2", "--data.fold_as", "train"] if divided else []
    with kept_process(), logged_to(io.StringIO()):
        made = make(Invocation.read("fit", [*invocation.arguments, *more]))
    data: Any = made.datamodule
    if divided:
        data.splitting = replace(data.splitting, folds=None, fold_as="val")
    return made


def _check_folds(invocation: Invocation) -> None:
    """Refuses data that are one fold already."""
    given = [(config.get("data") or {}) for config in invocation.configs.values()]
    arguments = [part.get("init_args") or {} for part in given if isinstance(part, dict)]
    for name in ("folds", "fold", "fold_as", "fold_repeat"):
        typed = [invocation.option(f"--data.{name}"), invocation.option(f"--data.init_args.{name}")]
        values = [value for value in (*(a.get(name) for a in arguments), *typed) if value is not None]
        if values and name == "folds":
            raise ConfigError(f"data.folds: {values[-1]} makes the data one fold; leave it out, and write --folds")
        if values and str(values[-1]) not in ("0", "val"):
            raise ConfigError(f"data.{name}: {values[-1]} is set for each fold; leave it out")


def _check(made: Made, own: argparse.Namespace) -> None:
    from fulmen.modules import SupervisedModule

    if own.jobs < 1:
        raise ConfigError(f"jobs: {own.jobs} is out of range; allowed: at least 1")
    if not isinstance(made.model, SupervisedModule):
        raise ConfigError(
            f"model: {type(made.model).__name__} does not tell what it predicts; derive it from "
            "fulmen.SupervisedModule, or hand its network to NetworkModule"
        )
    if made.checkpoint_file is not None:
        raise ConfigError("ckpt_path: a checkpoint may have learned from the samples that are scored; leave it out")
    if made.options.get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run: it writes nothing to score; write --trainer.max_epochs 1")
    if made.options.get("limit_test_batches") not in (None, 1.0):
        raise ConfigError("trainer.limit_test_batches: every sample of a fold is scored; leave it out")
    if own.final and made.config_init["fit"].checkpoint is None:
        raise ConfigError("final: with `checkpoint: null` nothing of it would be kept; leave that out, or --final")


def _stops(made: Made) -> bool:
    """Whether validation samples decide something."""
    config = made.config_init["fit"]
    watching = (config.early_stopping, config.checkpoint)
    return any(str(getattr(callback, "monitor", None)).startswith("val/") for callback in watching)


def _train(trains: FoldRuns) -> tuple[list[FoldResult], dict[str, str]]:
    """Trains the folds, and says of each how it ended."""
    results: list[FoldResult] = []
    failed: dict[str, str] = {}
    count, began = len(trains.plan.sizes), time.monotonic()
    for fold, outcome, before in trains():
        name = trains.plan.name(fold)
        done = len(results) + len(failed) + 1
        if isinstance(outcome, str):
            failed[name] = outcome
            said = f"failed: {outcome.splitlines()[0]}"
        else:
            results.append(outcome)
            said = _line(outcome) + (", trained before" if before else "")
        print(f"{name}  {said}  ({done} of {count}, {time.monotonic() - began:.0f} s)", flush=True)
    return results, failed


def _line(result: FoldResult) -> str:
    from fulmen.evaluation.metrics import HEADLINE

    headline = HEADLINE[result.predictions.task]
    first = f"{headline} {result.scores[headline]:.4f}, " if headline in result.scores else ""
    return f"{first}best epoch {result.best_epoch + 1} of {result.epochs}"


def _final(trains: FoldRuns, found: CrossValidation, asked: bool) -> dict[str, Any] | None:
    """Trains on everything where that is asked for, or was before, and all folds are there."""
    if not asked and not trains.has_final:
        return None
    if found.failed:
        return {"failed": "folds are missing, whose best epochs it needs"}
    from fulmen.cli.fold_runs import reason

    try:
        fitted = trains.final(found)
    except Exception as error:
        return {"failed": reason(error)}
    return {"folder": fitted.folder.name, "epochs": fitted.epochs}


def _opening(plan: Plan, folder: Path, resumed: bool) -> str:
    sizes = next(iter(plan.sizes.values()))
    how = f", one for each group ({plan.by.partition(' ')[2]})" if plan.groups else f" by {plan.by}"
    times = "" if plan.repeats == 1 else f", {plan.repeats} times"
    apart = f"; {plan.held_out:,} test samples stay out" if plan.held_out else ""
    return "\n".join(
        [
            f"{plan.folds} folds{how}{times}; in the first {sizes['train']:,} samples train, {sizes['val']:,} "
            f"validate, {sizes['test']:,} are scored{apart}",
            f"{'goes on in' if resumed else 'folder:'} {folder} (what a fold prints is in its output.txt)",
        ]
    )


def closing(found: CrossValidation, folder: Path, final: dict[str, Any] | None) -> str:
    """The table that the command ends with.

    Args:
        found: What came of the folds.
        folder: Where it is.
        final: What came of the training on everything; ``None``: it was not asked for.
    """
    names = [name for name in _SHOWN[found.predictions.task] if name in found.intervals and name in found.spread]
    head = ["out of fold", "all samples", "95 % interval", "mean of folds", "deviation"]
    rows = []
    for name in names:
        whole, spread = found.intervals[name], found.spread[name]
        deviation = "-" if spread.deviation != spread.deviation else f"{spread.deviation:.4f}"
        interval = f"{whole.low:.4f} to {whole.high:.4f}"
        rows.append([name, f"{whole.value:.4f}", interval, f"{spread.mean:.4f}", deviation])
    lines = aligned(head, rows)
    lines += [f"\nfailed: {name}: {why}" for name, why in found.failed.items()]
    places = {"predictions": "oof_predictions.csv", "page": _PAGE, "folder": ""}
    lines += ["", *(f"{name:<11}  {folder / file if file else folder}" for name, file in places.items())]
    if final is not None and "folder" in final:
        lines.append(f"{'final':<11}  {folder / final['folder']} (trained on all of them, {final['epochs']} epochs)")
    elif final is not None:
        lines.append(f"{'final':<11}  failed: {final['failed']}")
    return "\n".join(["", *lines])


def _write_page(found: CrossValidation, folder: Path, invocation: Invocation, final: dict[str, Any] | None) -> None:
    from fulmen.workflows.fold_page import fold_page
    from fulmen.workflows.fold_results import RECORD

    file = folder / RECORD
    file.write_text(json.dumps({**json.loads(file.read_text()), "final": final}, indent=2) + "\n")
    fold_page(found, f"Cross-validation: {invocation.name}", final).write(folder / _PAGE)


def _folds(text: str) -> Folds:
    if text == "groups":
        return "groups"
    if not text.lstrip("-").isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; write a number, such as 5, or groups")
    return int(text)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--folds 5] [--KEY VALUE ...] [options]",
        description="Trains a model for each fold and scores it on that fold, which has no say in its training: a part "
        "of the other folds (data.val_fraction of them) stops it and chooses the checkpoint, and the data's own test "
        "samples are in no fold. Writes out-of-fold predictions, metrics of all samples with 95 % intervals and over "
        "folds, and a page. How folds are made is said by the data: by class, data.split_by random, {group: COLUMN}, "
        "{time: COLUMN}. Each fold is a run of `fit` with a folder of its own. Keys such as --model.dropout 0.2 work "
        "as with `lightning fit`.",
        epilog="A search repeated on the same folds picks what suits them: keep test samples apart, or tune inside "
        "(`lightning tune`). Exit codes: 0; 1 if a fold failed; 2 for a mistake in the config or the command.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--folds",
        type=_folds,
        metavar="N",
        help="how many (5); groups: each group of data.split_by: {group: COLUMN} is one",
    )
    parser.add_argument("--repeats", type=int, metavar="N", help="how often, each time with other folds (1)")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="folds that are trained at once, in processes of their own (1)"
    )
    parser.add_argument(
        "--final",
        action="store_true",
        help="then train on all but the data's own test samples, for the median of the folds' best epochs, with "
        "nothing to stop it: a run in the folder `final`",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="go on with the newest cross-validation of the config, or the one in FOLDER: what came to its end is not "
        "trained again; other settings than it had are refused",
    )
    return parser
