"""CNN."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.networks import CNN


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@settings(deadline=None, max_examples=60)
@given(
    dims=st.integers(1, 2),
    in_channels=st.integers(1, 4),
    sides=st.lists(st.integers(4, 13), min_size=2, max_size=2),
    channels=st.lists(st.integers(1, 6), min_size=1, max_size=2),
    convolutions=st.integers(1, 2),
    kernel=st.sampled_from([1, 3, 5]),
    pooling=st.sampled_from(["max", "average", "stride"]),
    head=st.sampled_from(["global", "flatten"]),
    norm=st.sampled_from([None, "batch"]),  # others refuse a single pixel of a single channel, see below
)
def test_shape(
    dims: int,
    in_channels: int,
    sides: list[int],
    channels: list[int],
    convolutions: int,
    kernel: int,
    pooling: Any,
    head: Any,
    norm: Any,
) -> None:
    shape = (in_channels, *sides[:dims])
    net = CNN(shape, 3, channels, convolutions, kernel, pooling, normalization=norm, head=head)
    assert net.training
    y = net(torch.randn(3, *shape))
    assert y.shape == (3, 3)
    assert torch.isfinite(y).all()


def test_parameters_by_hand() -> None:
    with_norm = CNN((3, 16, 16), 10, [8, 16])  # convolutions before a norm layer have no bias
    assert parameters(with_norm) == 3 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 10 + 10
    plain = CNN((3, 16, 16), 10, [8], convolutions=2, kernel_size=5, normalization=None)
    assert parameters(plain) == (3 * 8 * 25 + 8) + (8 * 8 * 25 + 8) + 8 * 10 + 10
    flat = CNN((3, 16, 16), 10, [8, 16], head="flatten", normalization=None)
    assert parameters(flat) == (3 * 8 * 9 + 8) + (8 * 16 * 9 + 16) + 16 * 4 * 4 * 10 + 10
    signal = CNN((2, 20), 4, [8], normalization=None)
    assert parameters(signal) == (2 * 8 * 3 + 8) + 8 * 4 + 4


def test_vectors_are_signals_of_one_channel() -> None:
    torch.manual_seed(0)
    vector = CNN((20,), 4, [8])
    signal = CNN((1, 20), 4, [8])
    signal.load_state_dict(vector.state_dict())
    x = torch.randn(5, 20)
    torch.testing.assert_close(vector(x), signal(x[:, None]))


@pytest.mark.parametrize(("pooling", "layer"), [("max", nn.MaxPool2d), ("average", nn.AvgPool2d), ("stride", None)])
def test_each_stage_halves_the_size(pooling: Any, layer: type[nn.Module] | None) -> None:
    net = CNN((1, 16, 16), 2, [4, 4, 4], pooling=pooling)
    assert net.features(torch.zeros(2, 1, 16, 16)).shape == (2, 4, 2, 2)
    pools = [m for m in net.features if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)]
    assert [type(m) for m in pools] == ([layer] * 3 if layer else [])


def test_global_head_does_not_see_where() -> None:
    net = CNN((1, 8, 8), 2, [4], kernel_size=1, normalization=None)
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(net(x), net(x.flip(-1)))
    flat = CNN((1, 8, 8), 2, [4], kernel_size=1, normalization=None, head="flatten")
    assert not torch.allclose(flat(x), flat(x.flip(-1)))


@settings(deadline=None, max_examples=40)
@given(
    norm=st.sampled_from(["batch", "layer", "group", "instance"]),
    pooling=st.sampled_from(["max", "stride"]),
    head=st.sampled_from(["global", "flatten"]),
    sides=st.tuples(st.integers(4, 9), st.integers(4, 9)),
)
def test_output_depends_on_the_input_or_is_refused(norm: Any, pooling: Any, head: Any, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    shape = (1, *sides)
    if pooling == "stride" and norm in ("group", "instance") and max(sides) == 4:
        with pytest.raises(ConfigError, match="one pixel"):
            CNN(shape, 3, [8, 16], pooling=pooling, normalization=norm, head=head)
        return
    net = CNN(shape, 3, [8, 16], pooling=pooling, normalization=norm, head=head)
    assert net(torch.rand(8, *shape)).std(0).max() > 1e-3


def test_statistics_are_untouched_by_construction() -> None:
    net = CNN((3, 8, 8), 2, [4])
    norm = net.features[1]
    assert norm.num_batches_tracked == 0
    assert norm.running_mean.eq(0).all()


def test_learnable_activations_are_not_shared() -> None:
    net = CNN((1, 8, 8), 2, [4, 4], activation="prelu")
    found = [m.weight for m in net.modules() if isinstance(m, nn.PReLU)]
    assert len({id(w) for w in found}) == 2


def test_too_many_stages() -> None:
    with pytest.raises(
        ConfigError, match=r"4 stages halve a sample of 8x8 to nothing; at most 3 fit, such as \[4, 8, 16\]"
    ):
        CNN((1, 8, 8), 2, [4, 8, 16, 32])
    assert CNN((1, 8, 8), 2, [4, 8, 16])(torch.zeros(2, 1, 8, 8)).shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size: 4"),
        ({"kernel_size": -1}, "kernel_size: -1"),
        ({"convolutions": 0}, "channels"),
        ({"channels": []}, "channels"),
        ({"channels": [4, 0]}, "channels"),
        ({"dropout": 1.0}, "dropout"),
        ({"input_shape": (3, 8, 8, 8)}, "input_shape"),
        ({"input_shape": ()}, "input_shape"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CNN(**{"input_shape": (1, 8, 8), "num_outputs": 2, "channels": [4], **options})


class _Half(nn.Module):
    """Gives half the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, 1)
        return a * b


@pytest.mark.parametrize("convolutions", [1, 2])
def test_activations_may_halve_the_channels(convolutions: int) -> None:
    network = CNN((3, 8, 8), 5, [8, 16], convolutions=convolutions, activation=_Half)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    widths = [8] * convolutions + [16] * convolutions
    assert [c.out_channels for c in convs] == widths
    assert [c.in_channels for c in convs] == [3, *(w // 2 for w in widths[:-1])]
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 5)
