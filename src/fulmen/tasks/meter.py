"""Running loss and metrics of one stage, right when samples are spread over processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from fulmen.tasks.base import Task


class MeanLoss(Metric):
    """Mean of a loss over samples: batches count by their size.

    >>> loss = MeanLoss()
    >>> loss.update(torch.tensor(1.0), 3)
    >>> loss.update(torch.tensor(5.0), 1)
    >>> loss.compute()
    tensor(2.)
    """

    full_state_update = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, loss: Tensor, samples: int) -> None:
        """Adds a batch.

        Args:
            loss: Mean loss of the batch, a scalar.
            samples: How many samples it is the mean of.
        """
        self.total += loss * samples
        self.count += samples

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count


class Meter(nn.Module):
    """The running loss and the metrics of a task.

    Batches are kept until a few thousand samples have come together, and then counted at once: a metric's
    update takes as long for ten samples as for thousands, and would else be a tenth of a small network's step.

    Args:
        task: Whose metrics they are.
    """

    _SAMPLES, _VALUES = 4096, 2**20  # at most so many samples and logits are kept

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.loss = MeanLoss()
        self.metrics = task.metrics()
        self._task = [task]  # in a list: the task is the module's, not a child of each meter
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self._samples = 0

    def names(self) -> list[str]:
        """Under which names :meth:`compute` gives its values."""
        return ["loss", *self._task[0].metric_names]

    def update(self, loss: Tensor, logits: Tensor, targets: Tensor, padded: bool = False) -> None:
        """Adds a batch.

        Args:
            loss: Its mean loss.
            logits: ``(N, num_outputs)``.
            targets: As the data give them.
            padded: It holds nothing but padding, which must not count. The metrics still have to learn the
                shape and type of their states from it, or the other processes could not gather them.
        """
        logits, targets = self._task[0].align(logits, targets)
        if padded:
            if not (self._kept or self.loss.update_called):
                self.metrics.update(self._task[0].scores(logits), targets)
                self._empty()
                self.loss.update(torch.zeros_like(loss), 0)
            return
        self._kept.append((loss, logits, targets))
        self._samples += len(targets)
        if self._samples >= self._SAMPLES or self._samples * logits[0].numel() >= self._VALUES:
            self._count()

    def _count(self) -> None:
        """Counts the batches that were kept."""
        if not self._kept:
            return
        losses, logits, targets = zip(*self._kept, strict=True)
        sizes = torch.tensor([len(t) for t in targets], device=losses[0].device)
        self.loss.update((torch.stack(losses) * sizes).sum() / self._samples, self._samples)
        if self.metrics:
            self.metrics.update(self._task[0].scores(torch.cat(logits)), torch.cat(targets))
        self._kept, self._samples = [], 0

    def _empty(self) -> None:
        for metric in self.metrics.values(copy_state=False):
            for name, default in metric._defaults.items():
                state = getattr(metric, name)
                if isinstance(state, list):
                    setattr(metric, name, [part[:0] for part in state])
                elif isinstance(default, Tensor):
                    # some states start as a number and become a vector, one number an output
                    setattr(metric, name, default.to(state.device).expand_as(state).clone())

    def compute(self) -> dict[str, Tensor]:
        """The values, over all processes: ``loss`` and each metric, one that has a value a class under its names."""
        self._count()
        values = {"loss": self.loss.compute()}
        for key, value in self.metrics.compute().items():
            values |= self._task[0].named_values(key, value)
        return values

    def reset(self) -> None:
        """Forgets everything."""
        self._kept, self._samples = [], 0
        with torch.inference_mode(False):  # states made in inference mode could be used nowhere else
            self.loss.reset()
            self.metrics.reset()
