"""Numbers."""

import pytest
import torch
from sklearn.metrics import mean_squared_error, root_mean_squared_error
from torch.nn import functional as F

from fulmen.core.errors import ConfigError, DataError
from fulmen.evaluation import Predictions, scores
from fulmen.tasks import Regression
from fulmen.tasks.meter import Meter


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_one_value_is_not_broadcast(shape: tuple[int, ...]) -> None:
    predictions, targets = torch.randn(6, 1), torch.randn(6, dtype=torch.float64)
    expected = (predictions.flatten() - targets).square().mean().float()
    torch.testing.assert_close(Regression(1).loss(predictions, targets.reshape(shape)), expected)


def test_several_values() -> None:
    predictions, targets = torch.randn(6, 3), torch.randn(6, 3)
    torch.testing.assert_close(Regression(3).loss(predictions, targets), F.mse_loss(predictions, targets))
    aligned, wanted = Regression(3).align(predictions, targets.long())
    assert aligned.shape == wanted.shape == (6, 3)
    assert wanted.dtype == torch.float32


def test_decode_and_scores() -> None:
    predictions = torch.randn(6, 1).bfloat16()
    assert Regression(1).decode(predictions)["prediction"].shape == (6, 1)
    assert Regression(1).scores(predictions).shape == (6,)
    assert Regression(1).scores(predictions).dtype == torch.float32


def test_names() -> None:
    assert Regression(1).class_names == ["value"]
    assert Regression(2).class_names == ["value_0", "value_1"]
    assert Regression(2, ["height", "width"]).class_names == ["height", "width"]


def test_names_of_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 outputs and the classes no, yes"):
        Regression(1, ["no", "yes"])


def test_the_root_is_taken_of_each_output_as_in_reports() -> None:
    random = torch.Generator().manual_seed(0)
    targets = torch.randn(40, 2, generator=random) * torch.tensor([100.0, 1.0])
    values = targets + torch.randn(40, 2, generator=random) * torch.tensor([50.0, 1.0])
    meter = Meter(Regression(2, metrics=["rmse", "mse"]))
    for part in torch.arange(40).split(7):
        meter.update(torch.tensor(0.0), values[part], targets[part])
    made = Predictions("regression", ["a", "b"], [str(i) for i in range(40)], targets.double().numpy(),
                       values.numpy(), values.numpy())  # fmt: skip
    found = meter.compute()
    assert found["rmse"].item() == pytest.approx(scores(made)["rmse"], rel=1e-5)
    assert found["rmse"].item() == pytest.approx(root_mean_squared_error(targets, values), rel=1e-5)
    assert found["mse"].item() == pytest.approx(mean_squared_error(targets, values), rel=1e-5)


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets:UserWarning")
def test_correlations_are_named_by_value() -> None:
    task = Regression(2, ["height", "width"], metrics=["mae", "pearson", "spearman"])
    names = [f"{m}/{n}" for m in ("pearson", "spearman") for n in ("height", "width")]
    assert task.metric_names == ["mae", *names]


@pytest.mark.parametrize("targets", [torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.int64)])
def test_good_targets(targets: torch.Tensor) -> None:
    Regression(2).check_targets(targets)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(4), r"\(N, 2\); got \(4,\)"),
        (torch.tensor([[1.0, 2.0], [float("inf"), 0.0]]), "1 targets are NaN or infinite, the first in row 1"),
    ],
)
def test_bad_targets(targets: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Regression(2).check_targets(targets)
