from collections import OrderedDict
from typing import Any

import pytest
import torch

import fulmen
from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import DataError

X = torch.zeros(2, 3)
Y = torch.tensor([0, 1])
INDEX = torch.tensor([7, PADDING])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (X, (X, None, None)),
        ([X], (X, None, None)),
        ((X, Y), (X, Y, None)),
        ([X, Y], (X, Y, None)),
        ((X, Y, INDEX), (X, Y, INDEX)),
        ((X, None, INDEX), (X, None, INDEX)),
        ({"inputs": X}, (X, None, None)),
        ({"inputs": X, "targets": Y}, (X, Y, None)),
        (OrderedDict(index=INDEX, targets=Y, inputs=X), (X, Y, INDEX)),
    ],
)
def test_of_reads(given: Any, expected: tuple[Any, ...]) -> None:
    batch = Batch.of(given)
    assert isinstance(batch, Batch)
    assert all(part is whole for part, whole in zip(batch, expected, strict=True))


def test_of_leaves_a_batch_as_it_is() -> None:
    batch = Batch(X, Y, INDEX)
    assert Batch.of(batch) is batch


@pytest.mark.parametrize("given", [{"image": X, "label": Y}, {"inputs": X, "target": Y}, {"targets": Y}, {}])
def test_of_refuses_other_keys(given: dict[str, Any]) -> None:
    with pytest.raises(DataError) as raised:
        Batch.of(given)
    message = str(raised.value)
    assert "needs the key 'inputs' and may have 'targets' and 'index'" in message
    assert f"got {sorted(given)}" in message
    assert "Override `step`" in message


def test_of_refuses_keys_that_are_not_all_names() -> None:
    with pytest.raises(DataError, match="needs the key 'inputs'"):
        Batch.of({"inputs": X, 0: Y})


@pytest.mark.parametrize("given", [(), [], (X, Y, INDEX, X)])
def test_of_refuses_other_lengths(given: Any) -> None:
    with pytest.raises(DataError, match=rf"one to three parts \(inputs, targets, index\); got {len(given)}\. Override"):
        Batch.of(given)


@pytest.mark.parametrize("given", ["text", b"bytes", None, 3, object()])
def test_of_refuses_what_is_no_batch(given: Any) -> None:
    with pytest.raises(DataError, match="Override `step`"):
        Batch.of(given)


def test_batch_is_found_at_the_top() -> None:
    assert fulmen.Batch is Batch
