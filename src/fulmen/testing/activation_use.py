"""Checks of what people do with an activation: copy, save, compile, export and train it."""

from __future__ import annotations

import copy
import io
import pickle as pickles
import warnings

import pytest
import torch
from torch import Tensor, nn

from fulmen.modules import MLPModule
from fulmen.nn.regularizers import is_weight
from fulmen.testing.activation_subject import Activation
from fulmen.testing.kit import CheckError, leaves_state_alone, require
from fulmen.testing.training import facts, fit, loss_of, points, reloaded


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _disturbed(activation: Activation) -> nn.Module:
    """One whose parameters are no longer those that it starts from."""
    module = activation.evaluating()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1)
    return module


def no_global_state(activation: Activation) -> None:
    """Making and calling it changes no random state and no setting of torch (parameters may start at random)."""
    leaves_state_alone(activation.evaluating, activation.sample)


def deepcopy(activation: Activation) -> None:
    """A deep copy computes the same and shares nothing: averaged weights and searches copy models."""
    module, x = _disturbed(activation), activation.sample()
    twin = copy.deepcopy(module)
    require(
        torch.equal(twin(x), module(x)), "a deep copy gives another output; keep all state in parameters or buffers"
    )
    shared = _shared(module, twin)
    require(not shared, f"a deep copy shares {shared} with the original; do not override __deepcopy__")


def pickle(activation: Activation) -> None:
    """It can be pickled, as processes that are spawned need it."""
    module, x = _disturbed(activation), activation.sample()
    try:
        twin = pickles.loads(pickles.dumps(module))
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda, and define it in a module") from error
    require(torch.equal(twin(x), module(x)), "unpickled, it gives another output")


def state_dict(activation: Activation) -> None:
    """Its parameters travel in a checkpoint, through torch's safe loading."""
    module, x = _disturbed(activation), activation.sample()
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    try:
        saved = torch.load(buffer, weights_only=True)
    except pickles.UnpicklingError as error:
        raise CheckError(f"its state is refused by safe loading: {error}; hold tensors and numbers alone") from error
    twin = activation.evaluating()
    try:
        twin.load_state_dict(saved)
    except RuntimeError as error:
        raise CheckError(f"its own state does not load: {error}") from error
    require(torch.equal(twin(x), module(x)), "with the same state it gives another output; register what it learns")


def _shared(one: nn.Module, other: nn.Module) -> str:
    places = {t.data_ptr() for t in _tensors(one).values() if t.numel()}
    return ", ".join(name for name, t in _tensors(other).items() if t.data_ptr() in places)


def own_parameters(activation: Activation) -> None:
    """Two layers share no parameters or buffers."""
    shared = _shared(activation.make(), activation.make())
    require(not shared, f"two of them share {shared}; make tensors in __init__, not in the class or the module")


def no_weight_decay(activation: Activation) -> None:
    """Weight decay and regularizers of weights leave its parameters alone: zero is nothing special for a slope."""
    for owner in activation.make().modules():
        for name, parameter in owner.named_parameters(recurse=False):
            spared = not is_weight(owner, name, parameter)
            require(spared, f"{name} {tuple(parameter.shape)} would decay to 0; give it one dimension")


def devices(activation: Activation) -> None:
    """All of it moves with ``.to(device)``; torch's meta device stands for any other."""
    module = activation.evaluating().to("meta")
    try:
        y = module(activation.sample().to("meta"))
    except (RuntimeError, NotImplementedError) as error:
        raise CheckError(f"after .to(device) something is left behind: {error}; use register_buffer") from error
    require(y.device.type == "meta", f"inputs on one device give outputs on {y.device}")


def compiles(activation: Activation) -> None:
    """``torch.compile`` takes it whole, forward and backward, without a break in the graph."""
    module, x = activation.evaluating(), activation.sample().requires_grad_()
    torch._dynamo.reset()
    try:
        y = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
    except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
        raise CheckError(f"torch.compile(fullgraph=True) fails: {error}") from error
    finally:
        torch._dynamo.reset()
    plain = module(x)
    require(torch.allclose(y, plain, atol=1e-5), "compiled, it gives another output")
    (expected,) = torch.autograd.grad(plain.sum(), x)
    require(torch.allclose(gradient, expected, atol=1e-5), "compiled, it gives another gradient")


def onnx(activation: Activation) -> None:
    """It can be exported to ONNX, and onnxruntime computes the same (needs onnx, onnxscript and onnxruntime)."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module, x = activation.evaluating(), activation.sample()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        try:
            program = torch.onnx.export(module, (x,), dynamo=True, verbose=False)
        except Exception as error:  # whatever the exporter raises
            raise CheckError(f"the export to ONNX fails: {error.__cause__ or error}") from error
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    require(torch.allclose(torch.from_numpy(y), module(x), atol=1e-4), "onnxruntime computes another output")


def _module(activation: Activation, hidden: int) -> MLPModule:
    data = points()
    width, optimizer = hidden * activation.divides, {"name": "adam", "lr": 0.01}
    return MLPModule([width], activation=activation.spec, optimizer=optimizer, **facts(data))


def trains(activation: Activation) -> None:
    """An MLP with it learns in a few steps: its loss goes down, and every parameter of it moves."""
    data = points(batch_size=36)
    module = _module(activation, 16)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    first = loss_of(module, batch)
    fit(module, data, max_steps=25, max_epochs=-1, limit_val_batches=0)
    last = loss_of(module, batch)
    require(last < first, f"25 steps change the loss of an MLP from {first:.3g} to {last:.3g}; it has to go down")


def checkpoint(activation: Activation) -> None:
    """A model with it is the same when it comes back from a checkpoint."""
    module = _module(activation, 8)
    made = fit(module, points(), limit_val_batches=0, max_steps=2)
    x = torch.randn(4, 6)
    twin = reloaded(module, made)
    require(torch.equal(twin.eval()(x), module.eval()(x)), "a model from its checkpoint gives another output")
