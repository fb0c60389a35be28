"""Floor 3: what is predicted. A task is the loss, the metrics and the decoding of one kind of target."""

from fulmen.tasks.base import TARGET_TYPES, Task, TaskName
from fulmen.tasks.classification import Binary, Multiclass, Multilabel
from fulmen.tasks.regression import Regression

__all__ = ["Binary", "Multiclass", "Multilabel", "Regression", "Task", "make_task"]

_TASKS: dict[str, type[Task]] = {
    "multiclass": Multiclass,
    "binary": Binary,
    "multilabel": Multilabel,
    "regression": Regression,
}
assert set(_TASKS) == set(TARGET_TYPES)


def make_task(
    name: TaskName,
    num_outputs: int,
    class_names: list[str] | None = None,
    loss: object = None,
    metrics: list[object] | None = None,
) -> Task:
    """Makes the task of a name.

    Args:
        name: ``multiclass``, ``binary``, ``multilabel`` or ``regression``.
        num_outputs: Number of outputs that the data declare.
        class_names: Name of each class or label, in order.
        loss: Spec of the loss; ``None`` for the task's own.
        metrics: Specs of the metrics; ``None`` for the task's own.

    >>> make_task("multiclass", 3).num_outputs
    3
    """
    return _TASKS[name](num_outputs, class_names, loss, metrics)
