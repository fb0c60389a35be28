"""Modes of a network's parts."""

from torch import nn

from fulmen.nn.modes import mode_kept


def test_modes_are_kept() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    module[0].eval()
    with mode_kept(module):
        module.train()
    assert [m.training for m in module.modules()] == [True, False, True]
