"""Predictions of a split that Lightning's loops make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import MLPModule
from fulmen.workflows import collect_predictions

OPTIONS = {"accelerator": "cpu"}


def make() -> tuple[MLPModule, ArrayData]:
    torch.manual_seed(0)
    data = ArrayData(torch.randn(60, 4), torch.arange(60) % 3, batch_size=7)
    return MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3, dropout=0.5), data


@pytest.mark.parametrize("split", ["val", "test", "train"])
def test_a_split_in_its_order(split: str) -> None:
    module, data = make()
    found = collect_predictions(module, data, split, OPTIONS)
    rows = data.datasets[split].rows  # type: ignore[attr-defined]
    with torch.no_grad():
        logits = module.eval()(data.normalize(data.inputs[rows]))
    assert found.split == split
    assert found.samples == [str(row) for row in rows.tolist()]
    np.testing.assert_allclose(found.scores, logits.softmax(1), rtol=1e-5)


def test_the_module_and_the_data_are_left_as_they_were() -> None:
    module, data = make()
    module.train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    collect_predictions(module, data, "train", OPTIONS)
    assert all(part.training for part in module.modules() if isinstance(part, nn.Dropout))
    assert set(data.datasets) == {"train", "val", "test"}
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_a_split_that_is_none_is_said() -> None:
    module, data = make()
    with pytest.raises(ConfigError, match="'val'"):
        collect_predictions(module, data, "vla", OPTIONS)
    data = ArrayData(torch.randn(60, 4), torch.arange(60) % 3, test_fraction=0.0)
    with pytest.raises(ConfigError, match=r"Allowed: (train, val|val, train)"):
        collect_predictions(module, data, "test", OPTIONS)
