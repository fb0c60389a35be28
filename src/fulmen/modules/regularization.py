"""What the regularizers of a module do during training (their protocol: :mod:`fulmen.nn.regularizers`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.core.spec import at
from fulmen.nn.regularizers import Regularizer

_OF_BATCHES = ("before_forward", "loss", "batch_penalty")


def _having(regularizers: Iterable[Regularizer], *methods: str) -> list[Regularizer]:
    """Those that override one of the methods."""
    return [r for r in regularizers if any(getattr(type(r), m) is not getattr(Regularizer, m) for m in methods)]


class Regularization:
    """The regularizers of a module, and what they need from one hook to the next.

    Args:
        regularizers: In the order in which they act.
    """

    def __init__(self, regularizers: Sequence[Regularizer]) -> None:
        self.regularizers = list(regularizers)
        self.of_batches = _having(regularizers, *_OF_BATCHES)
        self.of_steps = _having(regularizers, "before_step")
        self.replaying = False
        self.penalty: Tensor | None = None
        self._acted = False
        self._batches: list[tuple[Any, int]] = []
        self._handles: list[tuple[Regularizer, RemovableHandle]] = []
        if len(_having(regularizers, "loss")) > 1:
            names = " and ".join(type(r).__name__ for r in _having(regularizers, "loss"))
            raise ConfigError(f"regularizers: {names} each replace the loss; give one of them")

    def start(self, module: LightningModule) -> None:
        """Puts hooks on layers.

        Args:
            module: About to be trained.

        Raises:
            ConfigError: If a regularizer cannot work with the precision of the trainer.
        """
        self.stop()
        scaled = isinstance(module.trainer.precision_plugin, MixedPrecision) and module.trainer.precision == "16-mixed"
        if self.of_steps and scaled:
            name = type(self.of_steps[0]).__name__
            raise ConfigError(f"regularizers: {name} cannot scale gradients; use trainer.precision: bf16-mixed")
        for i, regularizer in enumerate(self.regularizers):
            with at(f"regularizers[{i}]"):
                if isinstance(getattr(regularizer, "parameters", None), list):
                    next(regularizer.select(module), None)  # says which pattern matches nothing
                self._handles += [(regularizer, handle) for handle in regularizer.attach(module)]

    def stop(self) -> None:
        """Removes the hooks."""
        for _, handle in self._handles:
            handle.remove()
        self._handles, self._batches = [], []

    def acting_on(self, layers: Iterable[nn.Module]) -> list[str]:
        """Names of those that change batches, or have put hooks on some of these layers.

        Args:
            layers: Of the module that was given to :meth:`start`.
        """
        hooks = {id(found) for layer in layers for name, found in vars(layer).items() if name.endswith("_hooks")}
        hooked = [regularizer for regularizer, handle in self._handles if id(handle.hooks_dict_ref()) in hooks]
        acting = [*_having(self.regularizers, "before_forward"), *hooked]
        return list(dict.fromkeys(type(regularizer).__name__ for regularizer in acting))

    def report(self, module: LightningModule) -> None:
        """Prints what the regularizers have to say when training has ended."""
        for regularizer in self.regularizers:
            text = regularizer.report(module)
            if text:
                rank_zero_info(text)

    # Training batches

    def keep(self, batch: Any, batch_idx: int) -> None:
        """Keeps a batch for those that act on whole steps."""
        if self.of_steps and not self.replaying:
            self._batches.append((batch, batch_idx))

    def _check_acted(self, module: LightningModule) -> None:
        """Checks that a training step did not pass those of batches by.

        Raises:
            ConfigError: If it did: the module's own ``step`` computes a loss without them.
        """
        if self.of_batches and not self._acted:
            raise ConfigError(
                f"regularizers: {type(self.of_batches[0]).__name__} has no effect, because {type(module).__name__} "
                "overrides `step` or `training_step`; override `step` alone, and write "
                "`loss, logits, penalty = self.training_loss(batch)` there"
            )

    def before_forward(self, module: LightningModule, batch: Batch) -> Batch:
        """See :meth:`Regularizer.before_forward`."""
        self._acted = True
        for regularizer in self.of_batches:
            batch = regularizer.before_forward(module, batch)
        return batch

    def loss(self, module: LightningModule, batch: Batch, logits: Tensor) -> Tensor | None:
        """See :meth:`Regularizer.loss`."""
        found = (regularizer.loss(module, batch, logits) for regularizer in self.of_batches)
        return next((loss for loss in found if loss is not None), None)

    def batch_penalty(self, module: LightningModule, batch: Batch, logits: Tensor) -> Tensor | None:
        """The sum of the batch's penalties, a scalar; ``None`` if there are none."""
        self.penalty = None
        if not self.of_batches:
            return None
        with torch.autocast(module.device.type, enabled=False):
            logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
            found = ((r, r.batch_penalty(module, batch, logits)) for r in self.of_batches)
            terms = [_scalar(r, penalty) for r, penalty in found if penalty is not None]
        if not terms:
            return None
        total = torch.stack(terms).sum()
        self.penalty = total.detach()
        return total

    # Optimizer steps

    def before_step(self, module: LightningModule, optimizer: Optimizer) -> Tensor | None:
        """Lets those of whole steps act, then adds the penalties of parameters to the gradients.

        Returns:
            The penalty of the parameters and of the last batch, a scalar; ``None`` if there is none.
        """
        batch_penalty, batches, self._batches = self.penalty, self._batches, []
        self._check_acted(module)
        if self.of_steps and not batches:
            raise ConfigError(
                f"regularizers: {type(self.of_steps[0]).__name__} sees no batches, because {type(module).__name__} "
                "overrides `training_step`; override `step` instead"
            )
        for regularizer in self.of_steps:
            regularizer.before_step(module, self._replay(module, optimizer, batches))
        terms = [add_penalties(module, self.regularizers, optimizer), batch_penalty]
        found = [term for term in terms if term is not None]
        return torch.stack(found).sum() if found else None

    def _replay(self, module: LightningModule, optimizer: Optimizer, batches: list[Any]) -> Callable[[], None]:
        strategy: Any = module.trainer.strategy

        def replay() -> None:
            optimizer.zero_grad()
            with self._again(module):
                for i, (batch, batch_idx) in enumerate(batches):
                    last = i == len(batches) - 1
                    with nullcontext() if last else _unsynchronized(strategy), torch.enable_grad():
                        loss = strategy.training_step(batch, batch_idx)
                        strategy.backward(loss / module.trainer.accumulate_grad_batches, optimizer)

        return replay

    @contextmanager
    def _again(self, module: nn.Module) -> Iterator[None]:
        """Marks a second pass: nothing is counted or logged, and statistics of batch normalization stay."""
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        momenta = [(norm, norm.momentum) for norm in norms]
        counts = [(n, n.num_batches_tracked.clone()) for n in norms if n.num_batches_tracked is not None]
        self._mark(replaying=True)
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield
        finally:
            self._mark(replaying=False)
            for norm, momentum in momenta:
                norm.momentum = momentum
            for norm, count in counts:
                norm.num_batches_tracked.copy_(count)  # type: ignore[union-attr]

    def _mark(self, replaying: bool) -> None:
        self.replaying = replaying
        for regularizer in self.regularizers:
            regularizer.replaying = replaying

    # Checkpoints

    def state_dict(self) -> list[dict[str, Any]]:
        """What each regularizer needs to go on."""
        return [{"name": type(r).__name__, "state": r.state_dict()} for r in self.regularizers]

    def load_state_dict(self, saved: list[dict[str, Any]]) -> None:
        """Hands the states out; says which regularizer starts anew, because the checkpoint was made without it."""
        rest = list(saved)
        for regularizer in self.regularizers:
            name = type(regularizer).__name__
            found = next((entry for entry in rest if entry["name"] == name), None)
            if found is not None:
                rest.remove(found)
                regularizer.load_state_dict(found["state"])
            elif regularizer.state_dict():
                rank_zero_info(f"The checkpoint holds nothing of the regularizer {name}: it starts anew.")


def _unsynchronized(strategy: Any) -> Any:
    """No averaging over processes until the last micro-batch of a step, where the strategy can do without."""
    block = getattr(strategy, "block_backward_sync", None)
    return nullcontext() if block is None else block()


def add_penalties(module: LightningModule, regularizers: Iterable[Regularizer], optimizer: Optimizer) -> Tensor | None:
    """Adds the gradient of the penalties to the gradients of an optimizer's parameters.

    Args:
        module: What is trained; its gradients are complete (accumulated, averaged, unscaled).
        regularizers: Whose penalties are added.
        optimizer: About to step.

    Returns:
        The sum of the penalties, a scalar without gradient; ``None`` if there are none.
    """
    with torch.enable_grad(), torch.autocast(module.device.type, enabled=False):
        terms = [_scalar(r, penalty) for r in regularizers if (penalty := r.penalty(module)) is not None]
        if not terms:
            return None
        penalty = torch.stack(terms).sum()
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
    return penalty.detach()


def _scalar(regularizer: Regularizer, penalty: Any) -> Tensor:
    """A penalty as an ordinary tensor, also of sharded parameters (FSDP2, tensor parallel).

    Raises:
        ConfigError: If it is no scalar tensor.
    """
    if not isinstance(penalty, Tensor) or penalty.ndim:
        given = f"a tensor of shape {tuple(penalty.shape)}" if isinstance(penalty, Tensor) else f"{penalty!r}"
        raise ConfigError(
            f"regularizers: a penalty of {type(regularizer).__name__} is {given}; it has to be a scalar tensor (a sum "
            "over parameters, a mean over samples)"
        )
    whole: Tensor = penalty.full_tensor() if hasattr(penalty, "full_tensor") else penalty
    return whole
