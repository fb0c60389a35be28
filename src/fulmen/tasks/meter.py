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

    Args:
        task: Whose metrics they are.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.loss = MeanLoss()
        self.metrics = task.metrics()
        self._task = [task]  # in a list: the task is the module's, not a child of each meter

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
        task = self._task[0]
        logits, targets = task.align(logits, targets)
        if padded:
            if not self.loss.update_called:
                self.metrics.update(task.scores(logits), targets)
                self._empty()
                self.loss.update(torch.zeros_like(loss), 0)
            return
        self.loss.update(loss, len(targets))
        if self.metrics:
            self.metrics.update(task.scores(logits), targets)

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
        values = {"loss": self.loss.compute()}
        for key, value in self.metrics.compute().items():
            values |= self._task[0].named_values(key, value)
        return values

    def reset(self) -> None:
        """Forgets everything."""
        with torch.inference_mode(False):  # states made in inference mode could be used nowhere else
            self.loss.reset()
            self.metrics.reset()
