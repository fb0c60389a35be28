"""Running loss and metrics."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.core.registry import registry
from fulmen.tasks import Task, make_task
from fulmen.tasks.meter import MeanLoss, Meter

pytestmark = pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets:UserWarning")

OUTPUTS: dict[Any, int] = {"multiclass": 4, "binary": 1, "multilabel": 3, "regression": 2}
OTHERS = {  # built-in metrics that a task does not take: tests/nn/test_metrics.py
    "multiclass": {"mae", "mse", "rmse", "mape", "r2", "explained_variance", "pearson", "spearman"},
    "binary": {"exact_match", "pearson", "spearman"},
    "multilabel": {"calibration_error", "cohen_kappa", "pearson", "spearman"},
}
REGRESSION = ["mae", "mse", "rmse", "mape", "r2", "explained_variance", "pearson", "spearman"]


def all_metrics(name: Any) -> list[str]:
    names = [c.name for c in registry().components("metrics") if c.distribution == "fulmen"]
    return REGRESSION if name == "regression" else sorted(set(names) - OTHERS[name])


def batch(task: Task, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, task.num_outputs, generator=generator)
    if task.name == "regression":
        return logits, torch.randn(n, task.num_outputs, generator=generator)
    shape = (n, task.num_outputs) if task.name == "multilabel" else (n,)
    return logits, torch.randint(0, task.num_outputs if task.name == "multiclass" else 2, shape, generator=generator)


def fill(meter: Meter, task: Task, logits: torch.Tensor, targets: torch.Tensor, sizes: list[int]) -> dict[str, float]:
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        start += size
        meter.update(task.loss(logits[part], targets[part]), logits[part], targets[part])
    assert start == len(logits)
    return {name: value.item() for name, value in meter.compute().items()}


@pytest.fixture(scope="module")
def tasks() -> dict[Any, Task]:
    return {name: make_task(name, outputs, metrics=all_metrics(name)) for name, outputs in OUTPUTS.items()}


@settings(deadline=None, max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_batches_of_any_size_give_what_one_gives(name: Any, tasks: dict[Any, Task], data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 20), min_size=2, max_size=5))
    sizes.append(40)  # enough for every class to occur
    task = tasks[name]
    logits, targets = batch(task, sum(sizes), seed=len(sizes))
    parts = fill(Meter(task), task, logits, targets, sizes)
    whole = fill(Meter(task), task, logits, targets, [sum(sizes)])
    assert parts == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert set(parts) == set(Meter(task).names())


def test_metrics_that_agree_on_the_first_batch_stay_apart() -> None:
    specs = [{"name": "accuracy", "threshold": t, "log_as": f"above_{10 * t:.0f}"} for t in (0.3, 0.7)]
    task = make_task("binary", 1, metrics=list(specs))
    meter = Meter(task)
    meter.update(torch.tensor(0.0), torch.tensor([[9.0], [-9.0]]), torch.tensor([1, 0]))
    meter.update(torch.tensor(0.0), torch.zeros(2, 1), torch.tensor([1, 1]))
    values = meter.compute()
    assert values["above_3"] == 1.0
    assert values["above_7"] == 0.5


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50)), min_size=1, max_size=10))
def test_loss_is_the_mean_over_samples(parts: list[tuple[float, int]]) -> None:
    mean = MeanLoss()
    for loss, samples in parts:
        mean.update(torch.tensor(loss), samples)
    expected = sum(loss * n for loss, n in parts) / sum(n for _, n in parts)
    assert mean.compute().item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_loss_of_half_precision_is_summed_in_float32() -> None:
    mean = MeanLoss()
    for _ in range(1000):
        mean.update(torch.tensor(1.0, dtype=torch.bfloat16), 32)
    assert mean.compute().dtype == torch.float32
    assert mean.compute().item() == pytest.approx(1.0)


def states(meter: Meter) -> dict[str, Any]:
    return {
        f"{key}.{name}": getattr(metric, name)
        for key, metric in meter.metrics.items(keep_base=True, copy_state=False)
        for name in metric._defaults
    }


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_padding_counts_nothing_but_gives_states_their_form(name: Any, tasks: dict[Any, Task]) -> None:
    task = tasks[name]
    padded, real = Meter(task), Meter(task)
    logits, targets = batch(task, 1)
    padded.update(task.loss(logits, targets), logits, targets, padded=True)
    padded.update(task.loss(logits, targets), logits, targets, padded=True)
    logits, targets = batch(task, 8)
    real.update(task.loss(logits, targets), logits, targets)
    real.compute()  # counts what was kept
    assert padded.loss.count == 0
    fresh = states(Meter(task))
    found, expected = states(padded), states(real)
    assert set(found) == set(expected)
    for key, state in expected.items():
        if isinstance(state, list):  # what other processes gather along the first dimension
            (part,), (empty,) = state, found[key]
            assert len(empty) == 0
            assert empty.dtype == part.dtype
            assert empty.shape[1:] == part.shape[1:]
        else:
            assert torch.equal(found[key], fresh[key].expand_as(found[key]))
            assert found[key].dtype == state.dtype
            assert found[key].shape == state.shape


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_padding_before_and_after_changes_no_value(name: Any, tasks: dict[Any, Task]) -> None:
    task = tasks[name]
    logits, targets = batch(task, 60)
    expected = fill(Meter(task), task, logits, targets, [60])
    meter = Meter(task)
    one = batch(task, 1, seed=9)
    meter.update(task.loss(*one), *one, padded=True)
    meter.update(task.loss(logits, targets), logits, targets)
    meter.update(task.loss(*one), *one, padded=True)
    assert {k: v.item() for k, v in meter.compute().items()} == pytest.approx(expected, rel=1e-5)


def test_padding_without_metrics() -> None:
    task = make_task("binary", 1, metrics=[])
    meter = Meter(task)
    logits, targets = batch(task, 2)
    meter.update(task.loss(logits, targets), logits, targets, padded=True)
    meter.update(task.loss(logits, targets), logits, targets)
    assert meter.compute()["loss"] == pytest.approx(task.loss(logits, targets))


def test_reset_forgets() -> None:
    task = make_task("multiclass", 4, metrics=all_metrics("multiclass"))
    meter = Meter(task)
    fill(meter, task, *batch(task, 50, seed=1), [50])
    meter.reset()
    second = batch(task, 50, seed=2)
    assert fill(meter, task, *second, [25, 25]) == pytest.approx(fill(Meter(task), task, *second, [50]), rel=1e-5)


def test_names_with_a_value_a_class() -> None:
    task = make_task("multiclass", 3, ["ant", "bee", "cat"], metrics=["f1", {"name": "recall", "average": "none"}])
    meter = Meter(task)
    assert meter.names() == ["loss", "f1", "recall/ant", "recall/bee", "recall/cat"]
    logits = torch.eye(3)[[0, 1, 1]]
    values = {**fill(meter, task, logits, torch.tensor([0, 1, 2]), [3])}
    assert [values[f"recall/{n}"] for n in ("ant", "bee", "cat")] == [1.0, 1.0, 0.0]


def test_task_is_no_child_of_the_meter() -> None:
    task = make_task("multiclass", 3, loss={"name": "cross_entropy", "class_weights": [1.0, 2.0, 3.0]})
    assert not any(isinstance(m, Task) for m in Meter(task).modules())
    assert Meter(task).state_dict() == {}
