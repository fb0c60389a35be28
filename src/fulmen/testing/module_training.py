"""Checks of what a module computes and learns."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from fulmen.core.errors import FulmenError
from fulmen.modules import SupervisedModule
from fulmen.testing.kit import CheckError, require
from fulmen.testing.module_subject import WIDTH, Module
from fulmen.testing.training import fit, loss_of, quiet, trainer, weights

_STEPS = 15


def builds(subject: Module) -> None:
    """It is a :class:`fulmen.modules.SupervisedModule` that needs no more than its options and the data's facts."""
    is_one = isinstance(subject.target, type) and issubclass(subject.target, SupervisedModule)
    require(is_one, f"{subject.target!r} is no subclass of fulmen.SupervisedModule")
    for task in subject.tasks:
        try:
            subject.built(task)
        except (FulmenError, TypeError, AttributeError, NotImplementedError) as error:
            raise CheckError(f"for a {task} task it cannot be made: {error}; are all `options` given?") from error


def output_shape(subject: Module) -> None:
    """``(N, *input_shape)`` becomes ``(N, num_outputs)`` for every task, for one sample as for many."""
    for task in subject.tasks:
        module = subject.built(task).eval()
        for samples in (1, 5):
            got = tuple(module(subject.sample(samples)).shape)
            expected = (samples, WIDTH[task])
            require(got == expected, f"{task}: the output is {got}, not {expected}; end with self.num_outputs")


def loss_finite(subject: Module) -> None:
    """The loss of every task is a finite scalar at the start."""
    for task in subject.tasks:
        module, data = subject.built(task), subject.data(task)
        loss = module.compute_loss(module(data.inputs), data.targets)
        finite = loss.ndim == 0 and bool(loss.isfinite())
        require(finite, f"{task}: compute_loss gives {loss.detach()}; give a finite scalar")


def learns(subject: Module) -> None:
    """In 15 steps the training loss of every task goes down."""
    for task in subject.tasks:
        module, data = subject.built(task, optimizer={"name": "adam", "lr": 0.005}), subject.data(task)
        batch = (data.inputs, data.targets)
        module.task.learn(data.targets)  # as when training starts, so that both losses have one scale
        first = loss_of(module, batch)
        fit(module, data, max_steps=_STEPS, max_epochs=-1)
        last = loss_of(module, batch)
        require(
            last < first, f"{task}: {_STEPS} steps change the loss from {first:.3g} to {last:.3g}; it has to go down"
        )


def gradients_reach(subject: Module) -> None:
    """The loss has a gradient by every parameter that is trained."""
    module, data = subject.built(), subject.data()
    module.compute_loss(module(data.inputs), data.targets).backward()
    without = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    require(not without, f"no gradient reaches {', '.join(without)}; use them in forward, or freeze them")
    odd = [n for n, p in module.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    require(not odd, f"the gradient of {', '.join(odd)} is not finite")


def same_seed(subject: Module) -> None:
    """The same seed gives the same weights, at the start and after a training."""
    one, other = subject.built(), subject.built()
    require(torch.equal(weights(one), weights(other)), "with one seed it starts from different weights; use torch's")
    for module in (one, other):
        torch.manual_seed(0)
        fit(module, subject.data(), max_steps=4, max_epochs=-1)
    require(torch.equal(weights(one), weights(other)), "two trainings with the same seed differ")


def evaluation_repeats(subject: Module) -> None:
    """In evaluation the same inputs give the same outputs."""
    module, x = subject.built().eval(), subject.sample()
    require(torch.equal(module(x), module(x)), "evaluation gives another output each time; draw if self.training")


def samples_independent(subject: Module) -> None:
    """In evaluation a sample's output does not depend on the others of its batch."""
    module, x = subject.built().eval(), subject.sample(5)
    together = module(x)
    for i in range(len(x)):
        same = torch.allclose(module(x[i : i + 1])[0], together[i], atol=1e-4)
        require(same, f"sample {i} alone gives another output than in its batch")


def autocast(subject: Module) -> None:
    """Under bfloat16 autocast it runs forward and backward, with a finite loss."""
    module, data = subject.built(), subject.data()
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.compute_loss(module(data.inputs), data.targets)
    loss.backward()
    require(math.isfinite(float(loss.detach())), f"under bfloat16 autocast the loss is {float(loss.detach())}")


def plain_trainer(subject: Module) -> None:
    """Lightning's own Trainer fits, validates and tests it with a plain loader of ``(inputs, targets)``."""
    module, data = subject.built(), subject.data()
    loader = DataLoader(TensorDataset(data.inputs, data.targets), batch_size=8)
    with quiet():
        made = trainer()
        try:
            made.fit(module, loader, loader)
            (tested,) = made.test(module, loader, verbose=False)
        except (FulmenError, RuntimeError, TypeError, AttributeError) as error:
            raise CheckError(f"a plain Trainer with (inputs, targets) fails: {error}; read Batch.of(batch)") from error
    logged: dict[str, Any] = {**made.callback_metrics, **tested}
    missing = sorted({"test/loss"} - set(logged))
    require(not missing, f"{', '.join(missing)} is not logged; keep the hooks of SupervisedModule")
    odd = [name for name, value in logged.items() if name.endswith("loss") and not math.isfinite(float(value))]
    require(not odd, f"{', '.join(odd)} is not finite")


def predicts(subject: Module) -> None:
    """``predict`` gives one prediction a sample, for every task."""
    for task in subject.tasks:
        module, data = subject.built(task), subject.data(task, predict_split="train", eval_batch_size=10)
        with quiet():
            batches: Any = trainer().predict(module, datamodule=data)
        rows = sorted(row for batch in batches for row in batch.get("index", torch.empty(0)).tolist())
        require(rows == list(range(24)), f"{task}: predictions name the samples {rows[:5]}..., not each of 24 once")
        count = sum(len(batch.get("prediction", ())) for batch in batches)
        require(count == 24, f"{task}: there are {count} predictions of 24 samples; keep what task.decode gives")
