"""Regularizers of parameters against closed forms; which weights form a group; what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen.networks import Transfer
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers import L2SP, SRIP, GroupLasso, Hoyer, MaxNorm, Orthogonal, SpectralNorm

MATRICES = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-2, 2, width=32))


def linear(matrix: Any) -> nn.Linear:
    weight = torch.as_tensor(matrix, dtype=torch.float64).clone()
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.weight.data = weight
    return layer


def value(regularizer: Regularizer, module: nn.Module) -> float:
    penalty = regularizer.penalty(module)
    assert penalty is not None
    return penalty.item()


def gradient(regularizer: Regularizer, layer: nn.Linear) -> np.ndarray[Any, Any]:
    penalty = regularizer.penalty(layer)
    assert penalty is not None
    (found,) = torch.autograd.grad(penalty, layer.weight)
    return found.numpy()


@settings(deadline=None, max_examples=30)
@given(MATRICES)
def test_orthogonal(w: np.ndarray[Any, Any]) -> None:
    layer = linear(w)
    gap = max(0, w.shape[0] - w.shape[1])  # more filters than inputs: W W^T is taken, which has that many less
    expected = ((w @ w.T - np.eye(len(w))) ** 2).sum() - gap
    assert value(Orthogonal(0.3), layer) == pytest.approx(0.3 * expected, abs=1e-9)
    np.testing.assert_allclose(gradient(Orthogonal(0.3), layer), 0.3 * 4 * (w @ w.T @ w - w), atol=1e-9)


def test_orthonormal_filters_cost_nothing() -> None:
    for shape in ((3, 5), (5, 3)):
        layer = linear(torch.nn.init.orthogonal_(torch.empty(shape)).double())
        assert value(Orthogonal(1.0), layer) == pytest.approx(0, abs=1e-10)
        assert value(SRIP(1.0), layer) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (1, 3)])
def test_srip_is_the_spectral_radius(shape: tuple[int, int]) -> None:
    layer = linear(np.random.default_rng(1).normal(size=shape))
    s = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    assert value(SRIP(0.5, iterations=2000), layer) == pytest.approx(0.5 * np.abs(s**2 - 1).max(), abs=1e-9)


def test_srip_finds_negative_deviations() -> None:
    layer = linear(np.diag([0.5, 0.9, 1.0]))
    assert value(SRIP(1.0, iterations=200), layer) == pytest.approx(0.75, abs=1e-9)
    np.testing.assert_allclose(gradient(SRIP(1.0, iterations=200), layer), np.diag([-1.0, 0, 0]), atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (1, 3)])
def test_spectral_norm_and_its_gradient(shape: tuple[int, int]) -> None:
    layer = linear(np.random.default_rng(1).normal(size=shape))
    u, s, vt = np.linalg.svd(layer.weight.detach().numpy(), full_matrices=False)
    for regularizer in (SpectralNorm(0.5, iterations=2000), SpectralNorm(0.5, exact=True)):
        assert value(regularizer, layer) == pytest.approx(0.25 * s[0] ** 2, abs=1e-9)
        np.testing.assert_allclose(gradient(regularizer, layer), 0.5 * s[0] * np.outer(u[:, 0], vt[0]), atol=1e-7)


def test_power_iteration_goes_on_from_step_to_step() -> None:
    layer = linear(np.random.default_rng(1).normal(size=(6, 6)))
    exact = value(SpectralNorm(1.0, exact=True), layer)
    regularizer = SpectralNorm(1.0, iterations=1)
    found = [value(regularizer, layer) for _ in range(300)]
    assert found[0] < 0.99 * exact
    assert found[-1] == pytest.approx(exact, abs=1e-9)
    again = SpectralNorm(1.0, iterations=1)
    again.load_state_dict(regularizer.state_dict())
    assert value(again, layer) == pytest.approx(exact, abs=1e-9)


def test_spectra_of_zero_weights() -> None:
    layer = linear(np.zeros((2, 3)))
    regularizer = SpectralNorm(1.0)
    assert value(regularizer, layer) == 0
    assert np.isfinite(gradient(regularizer, layer)).all()
    layer.weight.data = torch.eye(2, 3, dtype=torch.float64)
    assert value(regularizer, layer) == pytest.approx(0.5, abs=0.2)  # the kept vector did not stay zero
    assert value(SRIP(1.0), linear(np.zeros((2, 3)))) == pytest.approx(1)


def test_kernels_are_flattened() -> None:
    conv = nn.Conv2d(3, 4, 2).double()
    w = conv.weight.detach().reshape(4, 12).numpy()
    assert value(SpectralNorm(1.0, exact=True), conv) == pytest.approx(np.linalg.norm(w, 2) ** 2 / 2)
    assert value(Orthogonal(1.0), conv) == pytest.approx(((w @ w.T - np.eye(4)) ** 2).sum())


@settings(deadline=None, max_examples=30)
@given(MATRICES)
def test_hoyer_lies_between_one_and_the_number_of_weights_that_are_not_zero(w: np.ndarray[Any, Any]) -> None:
    found = value(Hoyer(1.0), linear(w))
    if (np.abs(w) > 1e-6).any():
        assert found == pytest.approx(np.abs(w).sum() ** 2 / (w**2).sum(), rel=1e-9)
        assert 1 - 1e-9 <= found <= np.count_nonzero(w) + 1e-9
        assert value(Hoyer(1.0), linear(3 * w)) == pytest.approx(found)


def test_hoyer_of_zeros() -> None:
    layer = linear(np.zeros((2, 2)))
    assert value(Hoyer(1.0), layer) == 0
    assert (gradient(Hoyer(1.0), layer) == 0).all()


# Groups

ROWS: list[tuple[nn.Module, int]] = [(nn.Linear(3, 4), 3), (nn.Conv2d(3, 4, 2), 12), (nn.Embedding(5, 3), 3)]


@pytest.mark.parametrize(("layer", "size"), ROWS, ids=lambda x: type(x).__name__)
def test_groups_of_outputs_are_rows(layer: Any, size: int) -> None:
    rows = layer.weight.detach().flatten(1)
    assert rows.shape[1] == size
    expected = math.sqrt(size) * rows.norm(dim=1).sum().item()
    assert value(GroupLasso(0.5, proximal=False), layer) == pytest.approx(0.5 * expected, rel=1e-6)


def assert_dies_alone(layer: Any, groups: str, rows: Any, weight: Tensor) -> None:
    """With all but one group large, exactly that group of weights becomes zero."""
    layer.weight.data = torch.full_like(layer.weight, 5.0)
    layer.weight.data[rows] = 1e-3
    build("regularizers", {"name": "group_lasso", "weight": 0.1, "groups": groups}).after_step(
        layer, {layer.weight: 0.1}
    )
    expected = torch.zeros_like(weight, dtype=torch.bool)
    expected[rows] = True
    assert torch.equal(layer.weight == 0, expected)


@pytest.mark.parametrize(
    ("layer", "groups", "rows"),
    [
        (nn.Linear(3, 4), "output", (1,)),
        (nn.Linear(3, 4), "input", (slice(None), 1)),
        (nn.Conv2d(3, 4, 3), "output", (1,)),
        (nn.Conv2d(3, 4, 3), "input", (slice(None), 1)),
        (nn.ConvTranspose2d(3, 4, 3), "output", (slice(None), 1)),
        (nn.ConvTranspose2d(3, 4, 3), "input", (1,)),
        (nn.Conv2d(4, 6, 3, groups=2), "output", (4,)),
        (nn.Conv2d(4, 6, 3, groups=2), "input", (slice(3, 6), 1)),  # input 3: the second half of the filters reads it
        (nn.ConvTranspose2d(4, 6, 3, groups=2), "output", (slice(2, 4), 1)),  # output 4: the second half of inputs
    ],
)
def test_a_group_dies_as_one(layer: Any, groups: str, rows: Any) -> None:
    assert_dies_alone(layer, groups, rows, layer.weight)


@settings(deadline=None, max_examples=40)
@given(MATRICES, st.floats(0, 1), st.floats(0, 2))
def test_proximal_step_is_block_soft_thresholding(w: np.ndarray[Any, Any], rate: float, weight: float) -> None:
    layer = linear(w)
    GroupLasso(weight).after_step(layer, {layer.weight: rate})
    expected = []
    for row in w:
        norm, threshold = np.linalg.norm(row), rate * weight * math.sqrt(len(row))
        expected.append(row * (1 - threshold / norm) if norm > threshold else row * 0)
    np.testing.assert_allclose(layer.weight.detach(), expected, atol=1e-9)


def test_proximal_step_minimizes() -> None:
    """``prox(w) = argmin_x ||x - w||^2 / 2 + threshold * ||x||``: nothing nearby is better."""
    w = np.array([[1.0, -2.0, 0.5]])
    layer = linear(w)
    GroupLasso(0.3).after_step(layer, {layer.weight: 0.5})
    x = layer.weight.detach().numpy()

    def objective(at: np.ndarray[Any, Any]) -> float:
        return float(((at - w) ** 2).sum() / 2 + 0.15 * math.sqrt(3) * np.linalg.norm(at))

    rng = np.random.default_rng(0)
    assert all(objective(x + 1e-3 * rng.normal(size=x.shape)) > objective(x) for _ in range(50))


def test_gradient_form_stays_finite_at_zero() -> None:
    assert (gradient(GroupLasso(1.0, proximal=False), linear(np.zeros((2, 3)))) == 0).all()


def test_entries_of_vectors_are_groups_of_their_own() -> None:
    layer = linear(np.ones((2, 3)))
    layer.bias.data = torch.tensor([0.05, 1.0], dtype=torch.float64)
    GroupLasso(1.0, parameters="all").after_step(layer, {layer.weight: 0.1, layer.bias: 0.1})
    assert layer.bias.tolist() == [0, pytest.approx(0.9)]


def test_weights_that_sharding_flattened_have_no_groups() -> None:
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(layer.weight.detach().flatten())
    with pytest.raises(ConfigError, match="parameters: a weight of one dimension has no groups"):
        GroupLasso(1.0).after_step(layer, {layer.weight: 0.1})


@settings(deadline=None, max_examples=30)
@given(MATRICES, st.floats(0.1, 3))
def test_max_norm(w: np.ndarray[Any, Any], limit: float) -> None:
    layer = linear(w)
    MaxNorm(limit).after_step(layer, {})
    norms = np.linalg.norm(w, axis=1, keepdims=True)
    expected = np.where(norms > limit, w * limit / np.where(norms > 0, norms, 1), w)
    np.testing.assert_allclose(layer.weight.detach(), expected, atol=1e-9)
    inside = (norms < limit * (1 - 1e-9)).ravel()
    assert np.array_equal(layer.weight.detach().numpy()[inside], w[inside])


# Starting point


def test_l2_sp_knows_the_head_of_a_transfer_model() -> None:
    net = Transfer([3, 32, 32], 4, "resnet10t", freeze="none")
    regularizer = L2SP(1.0, head_weight=3.0)
    head = net.model.get_classifier().weight.detach()
    assert value(regularizer, net) == pytest.approx(1.5 * head.square().sum().item(), rel=1e-5)
    with torch.no_grad():
        net.model.layer1[0].conv1.weight += 0.1
    moved = 0.5 * 0.01 * net.model.layer1[0].conv1.weight.numel()
    assert value(regularizer, net) == pytest.approx(1.5 * head.square().sum().item() + moved, rel=1e-4)


def test_l2_sp_of_other_networks_pulls_everything_to_the_start() -> None:
    layer = linear(np.ones((2, 2)))
    regularizer = L2SP(1.0)
    assert value(regularizer, layer) == 0
    layer.weight.data *= 3
    assert value(regularizer, layer) == pytest.approx(0.5 * 4 * 4)
    again = L2SP(1.0)
    again.load_state_dict(regularizer.state_dict())
    assert value(again, layer) == pytest.approx(8)


def test_l2_sp_keeps_the_start_of_what_is_frozen_at_first() -> None:
    net = nn.Sequential(linear(np.ones((2, 2))), linear(np.ones((2, 2))))
    net[0].requires_grad_(False)
    regularizer = L2SP(1.0)
    assert value(regularizer, net) == 0
    net[0].requires_grad_(True)
    assert value(regularizer, net) == 0
    net[0].weight.data += 1
    assert value(regularizer, net) == pytest.approx(2)


def test_l2_sp_head_without_match() -> None:
    with pytest.raises(ConfigError, match=r"head: 'top\.\*' matches none of weight, bias"):
        L2SP(1.0, head=["top.*"]).attach(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "group_lasso", "weight": -1}, r"weight: -1\.0 is out of range; allowed: weight >= 0"),
        ({"name": "group_lasso", "weight": 1, "groups": "rows"}, "groups: 'rows' is not a valid value"),
        ({"name": "max_norm", "limit": 0}, r"limit: 0\.0 is out of range; allowed: limit > 0"),
        ({"name": "srip", "weight": 1, "iterations": 0}, "iterations: 0 is out of range; allowed: iterations >= 1"),
        ({"name": "spectral_norm", "weight": 1, "iterations": 0}, "iterations: 0 is out of range"),
        ({"name": "l2_sp", "weight": 1, "head_weight": -2}, r"head_weight: -2\.0 is out of range"),
        ({"name": "activity_l1", "weight": -1}, "weight: -1.0 is out of range"),
        ({"name": "kl_sparsity", "weight": 1, "target": 1}, r"target: 1\.0 is out of range; allowed: 0 < target < 1"),
        ({"name": "kl_sparsity", "weight": 1, "momentum": 1}, "momentum: 1.0 is out of range; allowed: 0 <= momentum"),
        ({"name": "jacobian", "weight": 1, "projections": 0}, "projections: 0 is out of range"),
        ({"name": "manifold_mixup", "alpha": 0}, "alpha: 0.0 is out of range; allowed: alpha > 0"),
        ({"name": "manifold_mixup", "layers": []}, r"layers: \[\] leaves nothing to mix"),
        ({"name": "sam", "rho": 0}, "rho: 0.0 is out of range; allowed: rho > 0"),
    ],
)
def test_options_out_of_range(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("regularizers", spec)
