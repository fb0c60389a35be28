"""Each loss against an independent reference."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax
from sklearn.metrics import log_loss, mean_pinball_loss
from torch.nn import functional as F

from fulmen.core.errors import ConfigError, SpecError
from fulmen.core.registry import registry
from fulmen.core.spec import build
from fulmen.nn import BinaryCrossEntropy, CrossEntropy, Focal, LogCosh, Quantile


def classes(n: int = 40, c: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n * c)
    logits = 3 * torch.randn(n, c, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, c, (n,), generator=generator)


def labels(n: int = 40, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n * k)
    logits = 3 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 2, (n, k), generator=generator)


def test_cross_entropy_equals_scikit_learn() -> None:
    logits, targets = classes()
    expected = log_loss(targets, logits.softmax(1), labels=range(5))
    assert CrossEntropy()(logits, targets).item() == pytest.approx(expected, rel=1e-12)


def test_class_weights_are_averaged_over_the_weights_of_the_targets() -> None:
    logits, targets = classes()
    weights = [0.5, 1.0, 2.0, 4.0, 0.0]
    expected = log_loss(targets, logits.softmax(1), labels=range(5), sample_weight=np.array(weights)[targets])
    loss = CrossEntropy(class_weights=weights).double()
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_spreads_the_target(smoothing: float) -> None:
    logits, targets = classes()
    spread = np.full((40, 5), smoothing / 5)
    spread[np.arange(40), targets] += 1 - smoothing
    expected = -(spread * log_softmax(logits.numpy(), axis=1)).sum(1).mean()
    assert CrossEntropy(label_smoothing=smoothing)(logits, targets).item() == pytest.approx(expected, rel=1e-12)


def test_binary_cross_entropy_equals_scikit_learn() -> None:
    logits, targets = labels(k=1)
    expected = log_loss(targets.flatten(), logits.flatten().sigmoid())
    assert BinaryCrossEntropy()(logits.flatten(), targets.flatten()).item() == pytest.approx(expected, rel=1e-12)


def test_binary_cross_entropy_averages_over_labels() -> None:
    logits, targets = labels()
    expected = np.mean([log_loss(targets[:, i], logits[:, i].sigmoid()) for i in range(3)])
    assert BinaryCrossEntropy()(logits, targets).item() == pytest.approx(expected, rel=1e-12)


def test_positive_weight_by_label() -> None:
    logits, targets = labels()
    weights = np.array([0.5, 1.0, 3.0])
    p, y = expit(logits.numpy()), targets.numpy()
    expected = -(weights * y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    loss = BinaryCrossEntropy(positive_weight=weights.tolist()).double()
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-12)


def test_binary_label_smoothing_moves_towards_one_half() -> None:
    logits, targets = labels()
    p, y = expit(logits.numpy()), targets.numpy() * 0.8 + 0.1
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert BinaryCrossEntropy(label_smoothing=0.2)(logits, targets).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_of_classes_is_the_formula(gamma: float) -> None:
    logits, targets = classes()
    alpha = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    p = np.exp(log_softmax(logits.numpy(), axis=1))[np.arange(40), targets]
    expected = (-alpha[targets] * (1 - p) ** gamma * np.log(p)).mean()
    loss = Focal(gamma, alpha.tolist()).double()
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)  # alpha is stored as float32


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_of_labels_is_the_formula(gamma: float) -> None:
    logits, targets = labels()
    p, y = expit(logits.numpy()), targets.numpy()
    p_t, alpha_t = np.where(y == 1, p, 1 - p), np.where(y == 1, 0.25, 0.75)
    expected = (-alpha_t * (1 - p_t) ** gamma * np.log(p_t)).mean()
    assert Focal(gamma, 0.25)(logits, targets).item() == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(2, 8))
def test_focal_without_focus_is_cross_entropy(n: int, c: int) -> None:
    logits, targets = classes(n, c)
    torch.testing.assert_close(Focal(0.0)(logits, targets), F.cross_entropy(logits, targets))
    logits, targets = labels(n, c)
    expected = F.binary_cross_entropy_with_logits(logits, targets.double())
    torch.testing.assert_close(Focal(0.0)(logits, targets), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradient_is_finite_where_the_network_is_certain(gamma: float) -> None:
    for sign in (200.0, -200.0):
        logits = torch.tensor([[sign, 0.0, 0.0]], requires_grad=True)
        Focal(gamma)(logits, torch.tensor([0])).backward()
        binary = torch.tensor([sign], requires_grad=True)
        Focal(gamma)(binary, torch.tensor([1])).backward()
        for leaf in (logits, binary):
            assert leaf.grad is not None
            assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradient_is_right(gamma: float) -> None:
    logits, targets = classes(6, 3)
    assert torch.autograd.gradcheck(lambda x: Focal(gamma)(x, targets), logits.requires_grad_())
    logits, targets = labels(6, 2)
    assert torch.autograd.gradcheck(lambda x: Focal(gamma)(x, targets), logits.requires_grad_())


def test_log_cosh() -> None:
    predictions, targets = torch.linspace(-8, 8, 33, dtype=torch.float64), torch.zeros(33, dtype=torch.float64)
    expected = np.log(np.cosh(predictions.numpy())).mean()
    assert LogCosh()(predictions, targets).item() == pytest.approx(expected, rel=1e-12)


def test_log_cosh_of_large_errors_is_their_size() -> None:
    far = torch.tensor([1e6, -1e6])
    assert LogCosh()(far, torch.zeros(2)).item() == pytest.approx(1e6 - math.log(2))


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_equals_scikit_learn(q: float) -> None:
    rng = np.random.default_rng(0)
    predictions, targets = rng.normal(size=(2, 50))
    expected = mean_pinball_loss(targets, predictions, alpha=q)
    assert Quantile(q)(torch.from_numpy(predictions), torch.from_numpy(targets)).item() == pytest.approx(expected)


def test_quantile_is_least_at_the_quantile() -> None:
    targets = torch.arange(101.0)
    candidates = torch.arange(101.0)
    values = torch.stack([Quantile(0.9)(c.expand(101), targets) for c in candidates])
    assert candidates[values.argmin()] == 90


REGRESSION = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss, "smooth_l1": F.smooth_l1_loss}


@pytest.mark.parametrize("name", sorted(REGRESSION))
def test_torch_losses_by_name(name: str) -> None:
    predictions, targets = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build("losses", name)(predictions, targets), REGRESSION[name](predictions, targets))


def test_every_loss_of_the_registry_is_tested_here() -> None:
    tested = {*REGRESSION, "cross_entropy", "binary_cross_entropy", "focal", "log_cosh", "quantile"}
    assert {c.name for c in registry().components("losses") if c.distribution == "fulmen"} == tested


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(label_smoothing=1.0), "label_smoothing: 1.0"),
        (lambda: CrossEntropy(label_smoothing=-0.1), "label_smoothing: -0.1"),
        (lambda: CrossEntropy(class_weights=[1.0, -1.0]), "class_weights"),
        (lambda: BinaryCrossEntropy(label_smoothing=2.0), "label_smoothing"),
        (lambda: BinaryCrossEntropy(positive_weight=-2.0), "positive_weight: -2.0"),
        (lambda: BinaryCrossEntropy(positive_weight=[1.0, math.nan]), "positive_weight"),
        (lambda: Focal(gamma=-1.0), "gamma: -1.0"),
        (lambda: Focal(alpha=1.5), "alpha: 1.5"),
        (lambda: Focal(alpha=[0.5, -0.5]), "alpha"),
        (lambda: Quantile(0.0), "q: 0.0"),
        (lambda: Quantile(1.0), "q: 1.0"),
    ],
)
def test_options_out_of_range(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=message):
        make()


def test_wrong_number_of_weights() -> None:
    logits, targets = classes(8, 5)
    with pytest.raises(ConfigError, match="2 weights for 5 classes"):
        CrossEntropy(class_weights=[1.0, 2.0])(logits, targets)
    with pytest.raises(ConfigError, match="5 classes"):
        Focal(alpha=[1.0, 2.0])(logits, targets)
    with pytest.raises(ConfigError, match="5 classes"):
        Focal(alpha=0.5)(logits, targets)
    logits, targets = labels(8, 3)
    with pytest.raises(ConfigError, match="2 weights for 3 labels"):
        BinaryCrossEntropy(positive_weight=[1.0, 2.0])(logits, targets)
    with pytest.raises(ConfigError, match="one number"):
        Focal(alpha=[1.0, 2.0, 3.0])(logits, targets)


def test_weights_by_label_are_not_taken_for_weights_by_sample() -> None:
    with pytest.raises(ConfigError, match="positive_weight"):
        BinaryCrossEntropy(positive_weight=[1.0, 2.0])(torch.zeros(2), torch.ones(2))


def test_unknown_option_is_named() -> None:
    with pytest.raises(SpecError, match="label_smoothing"):
        build("losses", {"name": "cross_entropy", "label_smoothin": 0.1})


def test_weights_follow_the_module_and_stay_out_of_checkpoints() -> None:
    loss = CrossEntropy(class_weights=[1.0, 2.0]).double()
    assert loss.class_weights is not None
    assert loss.class_weights.dtype == torch.float64
    assert loss.state_dict() == {}
