"""torch.compile and ONNX: the same values without TorchScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fulmen.core.spec import build


class Together(nn.Module):
    """All activations side by side: one compilation or export instead of many."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: build("activations", name) for name in names})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(x) for part in self.parts.values())


@pytest.fixture
def numbers(normal: Callable[..., Tensor]) -> Tensor:
    """Normal ones, and large ones; (32, 8)."""
    return torch.cat([2 * normal(16, 8), 1e3 * normal(16, 8)])


@pytest.mark.slow
def test_compiles_to_one_graph(names: list[str], numbers: Tensor) -> None:
    together, compiled = Together(names), torch.compile(Together(names), fullgraph=True, backend="aot_eager")
    ours, theirs = numbers.clone().requires_grad_(), numbers.clone().requires_grad_()
    for name, y, z in zip(names, together(ours), compiled(theirs), strict=True):
        torch.testing.assert_close(z, y, msg=lambda m, name=name: f"{name}: {m}")
    sum(y.sum() for y in together(ours)).backward()
    sum(z.sum() for z in compiled(theirs)).backward()
    torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_inductor_gives_the_same_values(numbers: Tensor) -> None:
    """One of each kind, generated code included; all of them would take most of a minute."""
    names = ["rational", "snake", "swiglu", "telu", "xielu"]
    together = Together(names).requires_grad_(False)
    compiled = torch.compile(together, fullgraph=True)
    x = torch.cat([numbers, torch.full((1, 8), torch.inf), torch.full((1, 8), -torch.inf)])
    for name, y, z in zip(names, together(x), compiled(x), strict=True):
        torch.testing.assert_close(z, y, rtol=1e-5, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.slow
def test_onnx_gives_the_same_values(
    names: list[str], numbers: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    together = Together(names).eval()
    path = tmp_path / "together.onnx"
    torch.onnx.export(
        together, (numbers,), str(path), dynamo=True, dynamic_shapes=({0: "batch"},), external_data=False, verbose=False
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for x in (numbers, numbers[:5]):  # the batch size is free
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for name, y, z in zip(names, together(x), found, strict=True):
            np.testing.assert_allclose(z, y.detach().numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
