"""What cross-validation costs: five folds of the digits MLP against one fit, as ratios in one run, printed as a table.

The processor's seconds of this process count: the clock's would count what else the machine does. Every training has
the same number of epochs. Beside the plain `fit` of the config stands one that trains on as few samples as a fold does.

    uv run pytest tests/benchmarks/test_cross_validation.py -o addopts= -s
"""

from __future__ import annotations

import contextlib
import io
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fulmen.cli.fitting import fit_run
from fulmen.cli.main import main

CONFIG = Path(__file__).parents[2] / "configs" / "digits_mlp.yaml"
ROUNDS = 3
SAME = [
    *("--config", str(CONFIG), "--trainer.max_epochs", "20", "--early_stopping", "null"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
]
ONE_FOLD = ["--data.folds", "5", "--data.fold", "2", "--data.fold_as", "test", "--keep_predictions", "[test]"]

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="cross-validation")]


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """It takes a minute, and a quiet machine: it runs when benchmarks are asked for."""
    if request.config.getoption("--benchmark-skip"):
        pytest.skip("Skipping benchmark (--benchmark-skip active).")


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.process_time() - began


def test_five_folds_cost_five_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    number = itertools.count()
    kinds: dict[str, Callable[[], object]] = {
        "fit": lambda: fit_run(SAME, tmp_path / f"fit_{next(number)}"),
        "fit of a fold": lambda: fit_run([*SAME, *ONE_FOLD], tmp_path / f"fit_{next(number)}"),
        "cross_validate": lambda: main(["cross_validate", *SAME, "--folds", "5"]),
    }
    for work in kinds.values():  # imports, caches
        work()
    taken = {name: [seconds(work) for _ in range(ROUNDS)] for name, work in kinds.items()}
    middle = {name: statistics.median(values) for name, values in taken.items()}
    lines = [f"{name:<15} {value:6.2f} s  {value / middle['fit']:.2f} fits" for name, value in middle.items()]
    print("\n" + "\n".join(lines))  # the figures that the benchmark is for
    assert middle["cross_validate"] <= 5.2 * middle["fit"]
