"""What a search costs beside its trainings: a ratio in one run.

uv run pytest tests/benchmarks/test_tuning.py -o addopts= -s
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from fulmen.cli.quiet import quiet
from fulmen.cli.tuning import objective
from fulmen.cli.tuning.objective import FitObjective
from fulmen.cli.tuning.preparing import prepare
from fulmen.workflows.tuning import work

ROOT = Path(__file__).parents[2]
SHARE, TRIALS = 0.05, 12

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="tuning")]


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """It takes a minute, and a quiet machine: it runs when benchmarks are asked for."""
    if request.config.getoption("--benchmark-skip"):
        pytest.skip("Skipping benchmark (--benchmark-skip active).")


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_a_search_adds_little_to_its_trainings(pruner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of the space, storage, sampling, table, pictures and page, on `digits_mlp` as it stands."""
    from fulmen.cli.tune import _finish, _parser

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lightning"])
    quiet()
    fits, original = [], objective.fit_run

    def timed(*arguments: object) -> object:
        start = time.perf_counter()
        try:
            return original(*arguments)  # type: ignore[arg-type]
        finally:
            fits.append(time.perf_counter() - start)

    monkeypatch.setattr(objective, "fit_run", timed)
    (tmp_path / "space.yaml").write_text(
        "model.activation: [relu, gelu]\nmodel.optimizer.lr: {low: 1e-3, high: 1e-1, log: true}\n"
        "model.hidden_features: [[64], [256, 128]]\n"
    )
    arguments = ["--config", str(ROOT / "configs" / "digits_mlp.yaml"), "--trainer.accelerator", "cpu"]
    options = ["--space", "space.yaml", "--trials", str(TRIALS), "--pruner", pruner, *arguments]
    original([*arguments, "--trainer.max_epochs=2"], tmp_path / "warm")  # imports are everyone's
    start = time.perf_counter()
    settings, folder, study = prepare(*_parser("tune").parse_known_args(options))
    work(study, FitObjective(settings, folder))
    _finish(settings, study, folder)
    whole = time.perf_counter() - start
    share = whole / sum(fits) - 1
    print(
        f"\n{pruner}: {len(fits)} trainings {sum(fits):.2f} s, the whole search {whole:.2f} s: {100 * share:.1f} % more"
    )
    assert len(fits) == TRIALS
    assert share <= SHARE
