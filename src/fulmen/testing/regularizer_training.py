"""Checks of what a regularizer does to a training."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

import torch

from fulmen.modules import CNNModule
from fulmen.testing.kit import require
from fulmen.testing.regularizer_subject import OF_BATCHES, RegularizerSubject, everything, whole
from fulmen.testing.state import changes, isolated, snapshot
from fulmen.testing.training import facts, fit, pictures, points, quiet, trainer, weights


def trains_mlp(subject: RegularizerSubject) -> None:
    """An MLP trains with it: the weights change and stay finite, and so does what is logged."""
    module = subject.module(subject.make())
    start = weights(module)
    made = fit(module, points(), max_epochs=2)
    learned = weights(module)
    require(bool(learned.isfinite().all()), "weights become NaN or infinite after two epochs")
    require(not torch.equal(learned, start), "no weight changes in two epochs")
    odd = [name for name, value in made.callback_metrics.items() if not bool(value.isfinite().all())]
    require(not odd, f"{', '.join(odd)} is not finite")


def trains_cnn(subject: RegularizerSubject) -> None:
    """A CNN with batch normalization trains with it: weights of four dimensions and of one."""
    data = pictures()
    options = {"optimizer": {"name": "sgd", "lr": 0.05}, "regularizers": [subject.make()], **facts(data)}
    module = CNNModule([4, 8], activation=subject.activation, **options)
    fit(module, data, limit_val_batches=0)
    require(bool(weights(module).isfinite().all()), "weights of a CNN become NaN or infinite in one epoch")


def same_seed(subject: RegularizerSubject) -> None:
    """The same seed gives the same weights."""
    same = torch.equal(subject.learned(subject.make()), subject.reference)
    require(same, "two trainings with the same seed differ; draw from a generator that is seeded from the run's seed")


def frozen_untouched(subject: RegularizerSubject) -> None:
    """Parameters that are frozen do not change."""
    module = subject.module(subject.make())
    frozen = {n: p for n, p in module.named_parameters() if n.startswith("network.hidden.0.")}
    kept = {n: p.requires_grad_(False).detach().clone() for n, p in frozen.items()}
    fit(module, whole(), max_epochs=1)
    changed = [n for n, p in frozen.items() if not torch.equal(p, kept[n])]
    require(not changed, f"it changes frozen {', '.join(changed)}; act on self.select(module)")


def accumulation(subject: RegularizerSubject) -> None:
    """Two small batches a step are one large one; what mixes the samples of a batch only has to work."""
    made = subject.module(subject.make())
    fit(made, whole(batch_size=8), max_epochs=2, accumulate_grad_batches=2)
    require(bool(weights(made).isfinite().all()), "with accumulate_grad_batches=2 weights are not finite")
    if subject.overrides(*OF_BATCHES):
        return
    error = float((weights(made) - subject.reference).abs().max())
    require(error < 1e-5, f"accumulating two batches is off by {error:.3g} from one of both; act once a step")


def mean_over_samples(subject: RegularizerSubject) -> str | None:
    """A batch penalty is a mean: each sample twice in a batch gives the step of each once."""
    if not subject.overrides("batch_penalty") or subject.overrides("loss"):
        return "it has no batch_penalty, or replaces the loss"
    once, twice = subject.module(subject.make()), subject.module(subject.make())
    fit(once, everything(1), max_steps=1)
    fit(twice, everything(2), max_steps=1)
    error = float((weights(once) - weights(twice)).abs().max())
    require(error < 1e-4, f"each sample twice in a batch is off by {error:.3g}; divide by the number of samples")
    return None


def bfloat16(subject: RegularizerSubject) -> None:
    """A training in mixed precision works, and its weights stay float32."""
    module = subject.trained(subject.make(), epochs=1, precision="bf16-mixed")
    odd = [n for n, p in module.named_parameters() if p.dtype != torch.float32]
    require(not odd, f"{', '.join(odd)} is no longer float32 after a training in bf16-mixed")
    require(bool(weights(module).isfinite().all()), "weights become NaN or infinite in bf16-mixed")


def resume(subject: RegularizerSubject) -> None:
    """A training that goes on from a checkpoint ends with the weights of one that was never broken off."""
    expected = subject.reference
    with TemporaryDirectory() as folder, quiet():
        path = os.path.join(folder, "a.ckpt")
        first = trainer(max_epochs=1)
        first.fit(subject.module(subject.make()), datamodule=whole())
        first.save_checkpoint(path)
        module = subject.module(subject.make())
        second = trainer(max_epochs=2)
        second.fit(module, datamodule=whole(), ckpt_path=path, weights_only=True)
    error = float((weights(module) - expected).abs().max())
    require(
        error < 1e-6,
        f"a resumed training ends {error:.3g} away from one without a break; keep what it counts and learns in "
        "state_dict(), and draw random numbers from the seed and the step",
    )


def validation_unaffected(subject: RegularizerSubject) -> None:
    """Validation during a training scores the model alone: no penalty, no changed inputs, no hook acts on it."""
    module = subject.module(subject.make())
    during = fit(module, points(), max_epochs=2).callback_metrics["val/loss"]
    plain = subject.module()
    plain.load_state_dict(module.state_dict())
    with quiet():
        (alone,) = trainer().validate(plain, datamodule=points(), verbose=False)
    same = abs(float(during) - alone["val/loss"]) < 1e-5
    require(same, f"val/loss is {float(during):.6g}, but {alone['val/loss']:.6g} without it; act if module.training")


def no_global_state(subject: RegularizerSubject) -> None:
    """A training with it leaves global random state and settings as one without does."""
    with isolated():
        subject.learned(epochs=1)
        before = snapshot()
    with isolated():
        subject.learned(subject.make(), epochs=1)
        changed = changes(before)
    require(not changed, f"it changes {', '.join(changed)}; draw from a generator of its own")
