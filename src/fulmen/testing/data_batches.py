"""Checks of the facts that a data module states, and of the batches that it gives."""

from __future__ import annotations

import inspect
import io
import pickle as pickles
from typing import Any

import torch

from fulmen.core.batch import Batch
from fulmen.core.errors import DataError, FulmenError
from fulmen.core.restoring import restoring
from fulmen.modules import MLPModule, SupervisedModule, TextMLPModule
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
    if kind == "regression" and names is None:
        return
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    require(texts, f"class_names are {names!r}; give a list of texts")
    count = 2 if kind == "binary" else outputs
    require(
        len(names) == count,
        f"there are {len(names)} class_names for {count} {'values' if kind == 'regression' else 'classes'}",
    )


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
    """Inputs are float32 of the shape that is stated, finite; or numbers of a vocabulary. One target a sample."""
    data = subject.ready()
    for split in SPLITS:
        for batch in subject.batches(data, split):
            if "vocabulary_size" in getattr(data, "extra_facts", ()):
                _check_tokens(data, split, batch)
            else:
                _check_floats(data, split, batch)
            if batch.targets is not None:
                require(len(batch.targets) == len(batch.inputs), f"{split}: targets and inputs are not equally many")


def _check_floats(data: Any, split: str, batch: Batch) -> None:
    shape, stated = list(batch.inputs.shape[1:]), list(data.input_shape)
    require(shape == stated, f"{split} samples have the shape {shape}; input_shape says {stated}")
    require(batch.inputs.dtype == torch.float32, f"{split} inputs reach the network as {batch.inputs.dtype}")
    require(bool(batch.inputs.isfinite().all()), f"{split} inputs hold NaN or infinite values")


def _check_tokens(data: Any, split: str, batch: Batch) -> None:
    tokens, longest = batch.inputs, data.input_shape[0]
    require(tokens.dtype == torch.int64, f"{split} tokens reach the network as {tokens.dtype}; give int64")
    fits = tokens.ndim == 2 and 1 <= tokens.shape[1] <= longest
    require(fits, f"{split} tokens have the shape {tuple(tokens.shape)}; give (N, L) with L from 1 to {longest}")
    known = bool(((tokens >= 0) & (tokens < data.vocabulary_size)).all())
    require(known, f"{split} tokens are not all from 0 to vocabulary_size - 1 = {data.vocabulary_size - 1}")


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
    """What it has learned passes through torch's safe loading, and makes another one give the same batches.

    Another one is one that has learned already, and one that is made while a checkpoint is restored.
    """
    data = subject.ready()
    buffer = io.BytesIO()
    torch.save(data.state_dict(), buffer)
    buffer.seek(0)
    try:
        saved = torch.load(buffer, weights_only=True)
    except pickles.UnpicklingError as error:
        raise CheckError(f"state_dict() is refused by safe loading: {error}; give tensors, numbers, lists") from error
    twin = subject.ready()
    with restoring({type(data).__qualname__: saved}):
        restored = subject.ready()
    for other, when in ((twin, "after load_state_dict()"), (restored, "made while a checkpoint is restored,")):
        if saved:
            other.load_state_dict(saved)
        equal = same(subject.batches(other, "val"), subject.batches(data, "val"))
        require(equal, f"{when} another one gives other batches")


def _model(data: Any) -> SupervisedModule:
    """A small model that takes what the data state."""
    facts = ("input_shape", "num_outputs", "class_names", "target_type", *getattr(data, "extra_facts", ()))
    stated = {name: getattr(data, name) for name in facts}
    return TextMLPModule([4], **stated) if "vocabulary_size" in stated else MLPModule([4], **stated)


def trainer_runs(subject: DataModule) -> str | None:
    """Lightning's Trainer fits, tests and predicts with it."""
    data = subject.make()
    others = set(getattr(data, "extra_facts", ())) - {"vocabulary_size", "categories"}
    if others:
        return f"no model of Fulmen takes {', '.join(sorted(others))}"
    module = _model(data)
    with quiet():
        made = trainer(limit_train_batches=2, limit_val_batches=2, limit_test_batches=2, limit_predict_batches=1)
        try:
            made.fit(module, datamodule=data)
            if "test" in getattr(data, "datasets", {"test"}):
                made.test(module, datamodule=data, verbose=False)
            made.predict(module, datamodule=data)
        except (FulmenError, RuntimeError, TypeError, AttributeError) as error:
            raise CheckError(f"a training with it fails: {error}") from error
    return None


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
