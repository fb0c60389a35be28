"""`lightning cross_validate`: folds as runs, resumed, in parallel, with a last model."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.conftest import config as small_config

from fulmen.cli import fitting, fold_runs
from fulmen.cli.fold_folders import Asked, _options
from fulmen.cli.main import main
from fulmen.cli.processes import starts_processes
from fulmen.core.errors import FulmenError
from fulmen.data import IrisData
from fulmen.evaluation import Predictions
from fulmen.modules import MLPModule
from fulmen.workflows import cross_validate

Cli = Callable[..., Any]
CPU = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def folder(number: int = 0, name: str = "small") -> Path:
    return Path("runs") / name / f"cv_{number}"


@pytest.fixture
def command(cli: Cli, write_config: Callable[..., Path]) -> Cli:
    """Cross-validates a small config."""
    path = write_config(trainer={"max_epochs": 2, "enable_model_summary": False})
    return lambda *arguments: cli("cross_validate", "--config", path, *CPU, *arguments)


@dataclass(frozen=True)
class Finished:
    """A cross-validation that is done: its folder, and what it said."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three folds and the last model, of the config that `command` has too."""
    place = tmp_path_factory.mktemp("finished")
    (place / "small.yaml").write_text(
        yaml.safe_dump(small_config(trainer={"max_epochs": 2, "enable_model_summary": False}))
    )
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        patch.chdir(place)
        patch.setenv("FULMEN_RUN_FOLDER", "")
        patch.setenv("PL_GLOBAL_SEED", "0")
        assert main(["cross_validate", "--config", "small.yaml", *CPU, "--folds", "3", "--final"]) == 0
    return Finished(place / folder(), said.getvalue())


def test_folds_predictions_scores_and_page(finished: Finished) -> None:
    sizes = "in the first 72 samples train, 13 validate, 43 are scored; 22 test samples stay out"
    assert f"3 folds by class; {sizes}" in finished.said
    assert "accuracy" in finished.said
    assert f"final        {folder()}/final" in finished.said
    assert "GPU available" not in finished.said  # what folds print is in their files
    joined = Predictions.read(finished.folder / "oof_predictions.csv")
    assert len(joined) == len(set(joined.samples)) == 128
    assert sorted(set(joined.columns["fold"].tolist())) == [0, 1, 2]
    record = json.loads((finished.folder / "cross_validation.json").read_text())
    assert record["complete"]
    assert record["final"] == {"folder": "final", "epochs": record["epochs"]}
    assert re.search(r"best epoch [1-9]\d* of \d+", finished.said)
    assert "best epoch 0" not in finished.said
    assert record["pooled"]["accuracy"]["value"] == pytest.approx(np.mean(joined.targets == joined.predicted))
    assert (finished.folder / "cross_validation.html").read_text().startswith("<!DOCTYPE html>")


def test_a_fold_is_a_run_that_can_be_repeated_and_tested(finished: Finished, cli: Cli) -> None:
    fold = finished.folder / "fold_2"
    arguments = yaml.safe_load((fold / "config.yaml").read_text())["data"]["init_args"]
    assert {name: arguments[name] for name in ("folds", "fold", "fold_as")} == {
        "folds": 3,
        "fold": 2,
        "fold_as": "test",
    }
    again = cli("fit", "--config", fold / "config.yaml", "--trainer.default_root_dir", "again")
    assert again.code == 0, again.err
    made = Path("again") / "small" / "version_0" / "test_predictions.csv"
    assert made.read_text() == (fold / "test_predictions.csv").read_text()
    assert cli("test", "--config", fold / "config.yaml", "--ckpt_path", fold).code == 0


def test_the_last_model_learned_from_all_but_the_test_samples(finished: Finished, cli: Cli) -> None:
    final = finished.folder / "final"
    sides = [line.rsplit(",", 1)[1].strip('"') for line in (final / "split.csv").read_text().splitlines()[1:]]
    assert (sides.count("train"), sides.count("val"), sides.count("test")) == (128, 0, 22)
    tested = cli("test", "--config", final / "config.yaml", "--ckpt_path", final)
    assert tested.code == 0, tested.err
    assert "test metric" in tested.out
    epochs = json.loads((final / "run.json").read_text())["epochs"]
    assert epochs == json.loads((finished.folder / "cross_validation.json").read_text())["epochs"]


def test_the_command_and_the_function_agree(finished: Finished) -> None:
    joined = Predictions.read(finished.folder / "oof_predictions.csv")

    def make(data: Any) -> MLPModule:
        facts = {"input_shape": data.input_shape, "num_outputs": data.num_outputs, "target_type": data.target_type}
        return MLPModule([16], class_names=data.class_names, **facts)

    options = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    found = cross_validate(make, IrisData(batch_size=32), folds=3, trainer=options)
    assert joined.samples == found.predictions.samples
    assert np.allclose(joined.scores, found.predictions.scores, atol=1e-6)


def test_resumed_after_a_kill_it_trains_only_the_rest(
    command: Cli, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = fitting.fit_run

    def counted(arguments: Any, into: Path, isolated: bool = False) -> Any:
        trained.append(into.name)
        return real(arguments, into, isolated)

    def killed(arguments: Any, into: Path, isolated: bool = False) -> Any:
        if into.name == "fold_2":
            into.mkdir(parents=True)
            (into / "metrics.csv").write_text("half of it")
            raise KeyboardInterrupt
        return counted(arguments, into, isolated)

    monkeypatch.setattr(fold_runs, "fit_run", killed)
    with pytest.raises(KeyboardInterrupt):
        command("--folds", 3)
    assert trained == ["fold_0", "fold_1"]
    assert not (folder() / "oof_predictions.csv").exists()
    monkeypatch.setattr(fold_runs, "fit_run", counted)
    trained.clear()
    resumed = command("--resume")
    assert resumed.code == 0, resumed.err
    assert trained == ["fold_2"]
    assert resumed.out.count("trained before") == 2
    assert (folder() / "oof_predictions.csv").read_bytes() == (finished.folder / "oof_predictions.csv").read_bytes()


def test_other_settings_are_refused_by_name(command: Cli, cli: Cli, finished: Finished) -> None:
    shutil.copytree(finished.folder, folder())
    changed = command("--resume", "--model.dropout", 0.5, "--trainer.max_epochs", 9)
    assert changed.code == 2
    assert "runs/small/cv_0 was begun with other settings" in changed.error
    assert "model.dropout: not given, now 0.5" in changed.error
    assert "trainer.max_epochs: 2, now 9" in changed.error
    for options in (["--folds", 4], ["--repeats", 2]):
        assert "now" in cli("cross_validate", "--resume", folder(), *options).error
    shutil.rmtree(folder() / "final")
    alone = cli("cross_validate", "--resume", folder(), "--final")
    assert alone.code == 0, alone.err
    assert (folder() / "final" / "run.json").is_file()
    again = cli("cross_validate", "--resume", folder())  # what was made is told, also where it is not asked for again
    assert f"final        {folder()}/final" in again.out
    assert json.loads((folder() / "cross_validation.json").read_text())["final"]["folder"] == "final"
    one = cli("compare", folder())
    assert one.code == 2
    assert f"told apart in {folder()}/cross_validation.html" in one.error


def test_a_config_that_changes_meanwhile_is_not_mixed_in(
    command: Cli, write_config: Callable[..., Path], finished: Finished
) -> None:
    shutil.copytree(finished.folder, folder())
    write_config(trainer={"max_epochs": 3, "enable_model_summary": False})
    assert "trainer.max_epochs: 2, now 3" in command("--resume").error
    assert yaml.safe_load((folder() / "small.yaml").read_text())["trainer"]["max_epochs"] == 2


def test_a_fold_that_fails_is_said_and_the_others_are_trained(command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fitting.fit_run

    def short_of_memory(arguments: Any, into: Path, isolated: bool = False) -> Any:
        if into.name == "fold_1":
            raise RuntimeError("CUDA out of memory")
        return real(arguments, into, isolated)

    monkeypatch.setattr(fold_runs, "fit_run", short_of_memory)
    failed = command("--folds", 3, "--final")
    assert failed.code == 1
    assert "failed: fold_1: RuntimeError: CUDA out of memory" in failed.out
    assert f"lightning cross_validate --resume {folder()} --final" in failed.out
    assert not json.loads((folder() / "cross_validation.json").read_text())["complete"]
    assert not (folder() / "final").exists()
    monkeypatch.setattr(fold_runs, "fit_run", real)
    mended = command("--resume")
    assert mended.code == 0, mended.err
    assert json.loads((folder() / "cross_validation.json").read_text())["complete"]


def test_a_training_that_diverges_is_a_failure(command: Cli) -> None:
    done = command("--folds", 2, "--model.optimizer", "{name: sgd, lr: 1.0e+30}")
    assert done.code == 2
    assert "no fold came to its end" in done.error
    assert "not finite" in done.error


@pytest.mark.slow
def test_two_at_once_give_the_numbers_of_one_after_the_other(command: Cli, finished: Finished) -> None:
    done = command("--folds", 3, "--jobs", 2)
    assert done.code == 0, done.err
    assert (folder() / "oof_predictions.csv").read_bytes() == (finished.folder / "oof_predictions.csv").read_bytes()


@pytest.mark.slow
def test_folds_on_two_devices(command: Cli) -> None:
    done = command("--folds", 2, "--trainer.devices", 2, "--trainer.strategy", "ddp", "--data.test_fraction", 0)
    assert done.code == 0, done.err
    joined = Predictions.read(folder() / "oof_predictions.csv")
    assert sorted(map(int, joined.samples)) == [*range(150)]


@pytest.mark.slow
def test_interrupted_by_the_keyboard_it_stops(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """Lightning ends a training that is interrupted as if nothing were wrong; the other folds must not start."""
    path = write_config(trainer={"max_epochs": 100_000, "enable_model_summary": False}, early_stopping=None)
    path.write_text(path.read_text() + "early_stopping: null\n")
    code = (
        "import sys, threading, time, os, signal, pathlib\n"
        "def interrupt():\n"
        "    while not list(pathlib.Path('runs').glob('*/cv_0/fold_0/checkpoints/*')): time.sleep(0.1)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
        "from fulmen.cli.main import main\n"
        "sys.exit(main(['cross_validate', *sys.argv[1:]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", str(path), "--folds", "2", *CPU],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode != 0
    assert "lightning cross_validate --resume runs/small/cv_0" in done.stdout
    assert not (tmp_path / "runs" / "small" / "cv_0" / "fold_1").exists()
    assert not (tmp_path / "runs" / "small" / "cv_0" / "cross_validation.json").exists()


# Ways to divide


def test_tables_of_several_files_have_unambiguous_names(
    cli: Cli, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    def write(name: str, start: int, count: int) -> str:
        rows = [
            f"{i * 0.37 % 1:.3f},{i * 0.61 % 1:.3f},{'yes' if i % 2 else 'no'}" for i in range(start, start + count)
        ]
        (tmp_path / name).write_text("\n".join(["a,b,answer", *rows]) + "\n")
        return str(tmp_path / name)

    files = {"train": write("train.csv", 0, 40), "val": write("val.csv", 40, 20), "test": write("test.csv", 60, 10)}
    path = write_config(data={"class_path": "TabularData", "init_args": {**files, "target": "answer"}})
    done = cli("cross_validate", "--config", path, "--folds", 3, *CPU)
    assert done.code == 0, done.err
    joined = Predictions.read(folder() / "oof_predictions.csv")
    assert sorted(map(int, joined.samples)) == [*range(60)]
    assert [joined.names[t] for t in joined.targets] == ["yes" if int(s) % 2 else "no" for s in joined.samples]
    assert "10 test samples stay out" in done.out


def test_repetitions(command: Cli) -> None:
    done = command("--folds", 2, "--repeats", 2)
    assert done.code == 0, done.err
    joined = Predictions.read(folder() / "oof_predictions.csv")
    assert len(joined) == 2 * len(set(joined.samples)) == 256
    assert sorted(p.name for p in folder().glob("repeat_*")) == [
        f"repeat_{repeat}_fold_{fold}" for repeat in range(2) for fold in range(2)
    ]
    assert "2 folds by class, 2 times" in done.out


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", 1], "folds: 1 is out of range"),
        (["--folds", "groups"], "say which: data.split_by: {group: COLUMN}"),
        (["--repeats", 0], "repeats: 0 is out of range"),
        (["--jobs", 0], "jobs: 0 is out of range"),
        (["--data.folds", 5], "data.folds: 5 makes the data one fold; leave it out, and write --folds"),
        (["--data.fold", 1], "data.fold: 1 is set for each fold"),
        (["--data.val_fraction", 0], "data.val_fraction: 0 leaves no samples"),
        (["--folds", 200], "folds: 200 folds need as many samples at least; there are 128"),
        (["--trainer.fast_dev_run", "true"], "trainer.fast_dev_run: it writes nothing to score"),
        (["--trainer.limit_test_batches", 2], "trainer.limit_test_batches: every sample of a fold is scored"),
        (["--final", "--checkpoint", "null", "--early_stopping", "null"], "final: with `checkpoint: null`"),
        (["--resume"], "resume: there is no cross-validation in runs/small to go on with"),
        (["--resume", "nowhere"], "resume: 'nowhere' is no folder of a cross-validation"),
        (["--model.dropuot", 0.1], "dropuot"),
        (["--data.split_by", "{group: who}"], "these data have no columns"),
    ],
)
def test_mistakes_end_before_anything_is_written(command: Cli, arguments: list[object], message: str) -> None:
    done = command(*arguments)
    assert done.code == 2
    assert message in done.error
    assert not Path("runs").exists() or not list(Path("runs").rglob("cv_*"))


def test_without_validation_samples_a_fixed_number_of_epochs_is_trained(command: Cli) -> None:
    done = command("--data.val_fraction", 0, "--early_stopping", "null", "--checkpoint.monitor", "null", "--folds", 2)
    assert done.code == 0, done.err
    record = json.loads((folder() / "cross_validation.json").read_text())
    assert [(run["val"], run["epochs"], run["best_epoch"]) for run in record["runs"]] == [(0, 2, 1)] * 2


def test_a_folds_number_is_no_word(command: Cli) -> None:
    done = command("--folds", "many")
    assert done.code == 2
    assert "'many' is not allowed; write a number, such as 5, or groups" in done.err


def test_processes_of_their_own() -> None:
    assert not starts_processes({"accelerator": "cpu", "devices": "auto", "strategy": "auto", "num_nodes": 1})
    assert not starts_processes({"accelerator": "cpu", "devices": 1, "strategy": "auto", "num_nodes": 1})
    assert starts_processes({"accelerator": "cpu", "devices": 2, "strategy": "auto", "num_nodes": 1})
    assert starts_processes({"accelerator": "gpu", "devices": [0, 1], "strategy": "auto", "num_nodes": 1})
    assert starts_processes({"accelerator": "cpu", "devices": 1, "strategy": "ddp", "num_nodes": 1})


def test_settings_are_compared_key_by_key(tmp_path: Path) -> None:
    asked = Asked(5, 1, {"x.yaml": "a: {b: 1, init_args: {c: [1, 2]}}"}, ["--a.c", "[3]", "--d=x"])
    asked.write(tmp_path)
    assert Asked.read(tmp_path) == asked
    assert asked.settings() == {"--folds": 5, "--repeats": 1, "a.b": 1, "a.c": [3], "d": "x"}
    assert _options(["--x.init_args.y", "2"]) == {"x.y": 2}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fulmen.cli.main import main\n"
        "try: main(['cross_validate', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'numpy', 'fulmen.data'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_process_of_its_own_that_fails_says_why(tmp_path: Path) -> None:
    assert fold_runs.reason(FulmenError("no memory")) == "no memory"
    assert fold_runs.reason(RuntimeError("no memory")) == "RuntimeError: no memory"


def test_few_groups_make_folds_though_they_do_not_make_one_split(
    cli: Cli, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [f"{i * 0.37 % 1:.3f},{i * 0.61 % 1:.3f},p{i % 3},{'yes' if i % 2 else 'no'}" for i in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["a,b,who,answer", *rows]) + "\n")
    arguments = {"train": str(tmp_path / "people.csv"), "target": "answer", "test_fraction": 0.0}
    arguments["split_by"] = {"group": "who"}
    path = write_config(data={"class_path": "TabularData", "init_args": arguments})
    assert "val gets none" in cli("fit", "--config", path).error
    done = cli("cross_validate", "--config", path, "--folds", "groups", *CPU)
    assert done.code == 0, done.err
    assert "3 folds, one for each group (who)" in done.out
    assert len(Predictions.read(folder() / "oof_predictions.csv")) == 60
