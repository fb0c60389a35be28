"""What is learned: how much, how it is counted, saved, and spared by weight decay and regularizers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fulmen.core.errors import SpecError
from fulmen.core.spec import build
from fulmen.modules.optimizers import parameter_groups
from fulmen.nn.regularizers import L2, is_weight

COUNTS = {
    "swish": 1,
    "acon": 3,
    "sinlu": 2,
    "snake": 1,
    "pelu": 2,
    "srelu": 4,
    "flexible_relu": 1,
    "star_relu": 2,
    "xielu": 2,
    "rational": 10,
}
SWITCHED = sorted({*COUNTS, "aptx"} - {"rational"})


def test_number_of_parameters(name: str) -> None:
    assert sum(p.numel() for p in build("activations", name).parameters()) == COUNTS.get(name, 0)


def test_neither_decayed_nor_penalized_as_weights(name: str) -> None:
    activation = build("activations", name)
    assert not any(is_weight(activation, n, p) for n, p in activation.named_parameters())
    network = nn.Sequential(nn.Linear(4, 4), activation)
    own = {id(p) for p in activation.parameters()}
    decayed, spared = parameter_groups(network, decay_bias_and_norm=False)
    assert own <= {id(p) for p in spared["params"]}
    assert spared["weight_decay"] == 0
    assert not own & {id(p) for p in decayed["params"]}
    assert not own & {id(p) for p in L2(1.0).select(network)}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_every_parameter_learns(name: str, normal: Callable[..., Tensor]) -> None:
    activation = build("activations", name)
    for p in activation.parameters():  # off the start: srelu's upper threshold has no effect while its slope is 1
        p.data += 0.05
    activation(2 * normal(64, 8)).square().sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in activation.parameters())
    assert all(p.ndim == 1 for p in activation.parameters())  # FSDP refuses scalars


@pytest.mark.parametrize("name", SWITCHED)
@pytest.mark.parametrize("learnable", [True, False])
def test_learning_can_be_switched(name: str, learnable: bool, normal: Callable[..., Tensor]) -> None:
    activation = build("activations", {"name": name, "learnable": learnable})
    assert len(list(activation.parameters())) == (len(activation.state_dict()) if learnable else 0)
    assert activation.state_dict()
    other = build("activations", {"name": name, "learnable": not learnable})
    torch.testing.assert_close(activation(normal(4, 4)), other(normal(4, 4)), rtol=0, atol=0)


def test_copies_pickles_and_states_give_the_same_values(name: str, normal: Callable[..., Tensor]) -> None:
    activation, x = build("activations", name), normal(4, 8)
    for p in activation.parameters():
        p.data += 0.1
    fresh = build("activations", name)
    fresh.load_state_dict(activation.state_dict())
    for other in (copy.deepcopy(activation), pickle.loads(pickle.dumps(activation)), fresh):
        torch.testing.assert_close(other(x), activation(x), rtol=0, atol=0)
        assert not {id(p) for p in other.parameters()} & {id(p) for p in activation.parameters()}


def test_print_shows_the_options() -> None:
    assert repr(build("activations", {"name": "swish", "beta": 1.5})) == "Swish(beta=1.5, learnable=True)"
    assert repr(build("activations", {"name": "gaussian", "sigma": 0.5})) == "Gaussian(sigma=0.5)"
    assert repr(build("activations", {"name": "sine", "omega": 2.0})) == "Sine(omega=2.0)"
    assert repr(build("activations", {"name": "maxout", "pieces": 4})) == "Maxout(pieces=4)"
    assert repr(build("activations", {"name": "rational", "start": "tanh"})) == "Rational(start='tanh')"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "snake", "alpha": 0}, "alpha: 0.0 is out of range; allowed: alpha > 0"),
        ({"name": "pelu", "b": -1}, "b: -1.0 is out of range; allowed: b > 0"),
        ({"name": "pelu", "a": float("nan")}, "a: nan is out of range; allowed: a > 0"),
        ({"name": "srelu", "t_right": -1}, "t_right: -1.0 is out of range; allowed: t_right > t_left, which is 0.0"),
        ({"name": "xielu", "alpha_p": 0}, "alpha_p: 0.0 is out of range; allowed: alpha_p > 0"),
        ({"name": "xielu", "alpha_n": 0.5}, "alpha_n: 0.5 is out of range; allowed: alpha_n > beta, which is 0.5"),
        ({"name": "gaussian", "sigma": 0}, "sigma: 0.0 is out of range; allowed: sigma > 0"),
        ({"name": "sine", "omega": -3}, "omega: -3.0 is out of range; allowed: omega > 0"),
        ({"name": "maxout", "pieces": 1}, "pieces: 1 is out of range; allowed: pieces >= 2"),
    ],
)
def test_wrong_options(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the message is compared)
        build("activations", spec)
    assert str(error.value) == message


def test_options_are_checked_by_their_type() -> None:
    with pytest.raises(SpecError, match=r"start: 'selu' is not a valid value of activation 'rational'"):
        build("activations", {"name": "rational", "start": "selu"})
    with pytest.raises(SpecError, match=r"unknown option 'betta' of activation 'swish'; did you mean 'beta'\?"):
        build("activations", {"name": "swish", "betta": 1})


def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="unknown option 'zeta' of activation"):
        build("activations", {"name": name, "zeta": 1})
