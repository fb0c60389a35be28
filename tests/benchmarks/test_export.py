"""How long an exported model takes for raw samples, against the module on batches that are ready: ratios in one run.

uv run pytest tests/benchmarks/test_export.py --benchmark-enable -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fulmen import CNNModule, DigitsData, MLPModule, export, load_exported
from fulmen.workflows.exporting.resampling import CentreOfResized

_REPEATS = 7


def seconds(run: Callable[[], Any], other: Callable[[], Any]) -> float:
    """How many times as long one takes as another: the least of each, taken in turns."""
    least = [float("inf"), float("inf")]
    for _ in range(_REPEATS):
        for i, work in enumerate((run, other)):
            start = time.perf_counter()
            for _ in range(10):
                work()
            least[i] = min(least[i], time.perf_counter() - start)
    return least[0] / least[1]


@pytest.fixture(autouse=True)
def _only_when_asked(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--benchmark-skip"):
        pytest.skip("Skipping benchmark (--benchmark-skip active).")


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_latency(network: str, tmp_path: Path) -> None:
    data = DigitsData()
    data.setup("fit")
    facts: Any = {name: getattr(data, name) for name in ("num_outputs", "input_shape", "class_names", "target_type")}
    module = (MLPModule if network == "mlp" else CNNModule)(**facts).eval()
    for ending in ("onnx", "pt2"):
        export(module, data, tmp_path / f"m.{ending}", samples=4)
        model = load_exported(tmp_path / f"m.{ending}")
        ratios = []
        for count in (1, 64):
            batch = data.datasets["train"].__getitems__(list(range(count))).inputs
            array = batch.numpy()

            def plain(batch: torch.Tensor = batch) -> None:
                with torch.no_grad():
                    module.task.decode(module(data.normalize(batch)))

            def exported(array: Any = array, model: Any = model) -> None:
                model.runner(array)

            ratios.append(seconds(exported, plain))
        print(f"\n{network} {ending}: {ratios[0]:.2f} of the module's time for 1 sample, {ratios[1]:.2f} for 64")
        assert ratios[0] < (
            2 if ending == "onnx" else 50
        )  # torch walks through a graph, which costs tiny networks most


def test_resizing_in_the_graph() -> None:
    """The price of a graph that takes images of any size: once through the matrix products, against torch's own."""
    from fulmen.data.pixels import centre, resize

    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    made = CentreOfResized(224, 256, "bilinear")
    batch = torch.from_numpy(image)[None]
    ratio = seconds(lambda: made(batch), lambda: centre(resize(image, 256, 341), 224))
    print(f"\nresizing 375 x 500 to 224: {ratio:.1f} times torch's own")
    assert ratio < 100
