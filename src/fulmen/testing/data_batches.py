"""Checks of the facts that a data module states, and of the batches that it gives."""

from __future__ import annotations

import inspect
import io
import pickle as pickles

import torch

from fulmen.core.errors import DataError, FulmenError
from fulmen.modules import MLPModule
from fulmen.tasks import make_task
from fulmen.tasks.base import TARGET_TYPES
from fulmen.testing.data_subject import SPLITS, DataModule, same
from fulmen.testing.kit import CheckError, require
from fulmen.testing.state import changes, snapshot
from fulmen.testing.training import quiet, trainer


def facts(subject: DataModule) -> None:
    """Right after it is made, before ``setup``, it knows its task, outputs, class names and input shape."""
    data = subject.make()
    missing = [n for n in ("target_type", "num_outputs", "class_names", "input_shape") if not hasattr(data, n)]
    require(not missing, f"before setup() it does not know {', '.join(missing)}; set them in __init__")
    kind, outputs, names, shape = data.target_type, data.num_outputs, data.class_names, data.input_shape
    require(kind in TARGET_TYPES, f"target_type is {kind!r}; allowed: {', '.join(TARGET_TYPES)}")
    require(type(outputs) is int and outputs >= 1, f"num_outputs is {outputs!r}; give an int, 1 at least")
    numbers = isinstance(shape, list | tuple) and all(type(side) is int and side >= 1 for side in shape)
    require(numbers and shape, f"input_shape is {shape!r}; give a list of ints without the batch, such as [3, 32, 32]")
    if kind == "regression":
        require(names is None, f"class_names of a regression are None, not {names!r}")
        return
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    require(texts, f"class_names are {names!r}; give a list of texts")
    count = 2 if kind == "binary" else outputs
    require(len(names) == count, f"there are {len(names)} class_names for {count} classes")


def batches_named(subject: DataModule) -> None:
    """Batches have inputs and targets by name (or in this order), and the row of each sample."""
    data = subject.ready()
    for split in SPLITS:
        try:
            batches = subject.batches(data, split)
        except DataError as error:
            raise CheckError(f"{split} batches cannot be read: {error}") from error
        require(batches or split != "train", "there is no training batch")
        for batch in batches:
            require(batch.targets is not None, f"a batch of the {split} data has no targets")
            require(
                batch.index is not None, f"a batch of the {split} data has no index; give Batch(inputs, targets, index)"
            )


def shapes(subject: DataModule) -> None:
    """Inputs are float32 of the shape that is stated, finite, with one target a sample."""
    data = subject.ready()
    for split in SPLITS:
        for batch in subject.batches(data, split):
            shape, stated = list(batch.inputs.shape[1:]), list(data.input_shape)
            require(shape == stated, f"{split} samples have the shape {shape}; input_shape says {stated}")
            require(batch.inputs.dtype == torch.float32, f"{split} inputs reach the network as {batch.inputs.dtype}")
            require(bool(batch.inputs.isfinite().all()), f"{split} inputs hold NaN or infinite values")
            if batch.targets is not None:
                require(len(batch.targets) == len(batch.inputs), f"{split}: targets and inputs are not equally many")


def targets_in_range(subject: DataModule) -> None:
    """Every target is one of the task: a class below the number of classes, 0 or 1, a finite number."""
    data = subject.ready()
    task = make_task(data.target_type, data.num_outputs, data.class_names, None, None)
    for split in SPLITS:
        for batch in subject.batches(data, split):
            require(batch.targets is not None, f"a batch of the {split} data has no targets")
            assert batch.targets is not None
            try:
                task.check_targets(batch.targets)
            except DataError as error:
                raise CheckError(f"{split} targets: {error}") from error


def batch_size(subject: DataModule) -> str | None:
    """``batch_size`` says how many samples a training batch holds."""
    if "batch_size" not in _own(subject):
        return "it has no `batch_size`"
    for size in (4, 7):
        first = subject.batches(subject.ready(batch_size=size), "train")[0]
        require(len(first.inputs) == size, f"with batch_size {size} a batch holds {len(first.inputs)} samples")
    return None


def _own(subject: DataModule) -> set[str]:
    """The options of its class and of its parents, whatever passes through ``**kwargs``."""
    return {name for cls in subject.target.__mro__ for name in inspect.signature(cls.__init__).parameters}


def state_dict(subject: DataModule) -> None:
    """What it has learned passes through torch's safe loading, and makes another one give the same batches."""
    data = subject.ready()
    buffer = io.BytesIO()
    torch.save(data.state_dict(), buffer)
    buffer.seek(0)
    try:
        saved = torch.load(buffer, weights_only=True)
    except pickles.UnpicklingError as error:
        raise CheckError(f"state_dict() is refused by safe loading: {error}; give tensors, numbers, lists") from error
    twin = subject.ready()
    if saved:
        twin.load_state_dict(saved)
    equal = same(subject.batches(twin, "val"), subject.batches(data, "val"))
    require(equal, "after load_state_dict() another one gives other batches")


def trainer_runs(subject: DataModule) -> None:
    """Lightning's Trainer fits, tests and predicts with it."""
    data = subject.make()
    stated = {n: getattr(data, n) for n in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = MLPModule([4], **stated)
    with quiet():
        made = trainer(limit_train_batches=2, limit_val_batches=2, limit_test_batches=2, limit_predict_batches=1)
        try:
            made.fit(module, datamodule=data)
            if "test" in getattr(data, "datasets", {"test"}):
                made.test(module, datamodule=data, verbose=False)
            made.predict(module, datamodule=data)
        except (FulmenError, RuntimeError, TypeError, AttributeError) as error:
            raise CheckError(f"a training with it fails: {error}") from error


def no_global_state(subject: DataModule) -> None:
    """Making it and building its splits changes no random state and no setting."""
    before = snapshot()
    subject.ready()
    changed = changes(before)
    require(not changed, f"it changes {', '.join(changed)}; draw from a generator of its own")


def pickle(subject: DataModule) -> None:
    """It can be pickled, as processes that are spawned need it."""
    data = subject.ready()
    try:
        twin = pickles.loads(pickles.dumps(data))
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda or open file") from error
    require(same(subject.batches(twin, "val"), subject.batches(data, "val")), "unpickled, it gives other batches")
