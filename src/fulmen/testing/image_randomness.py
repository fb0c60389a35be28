"""Checks of where an image augmentation's random numbers come from, and of its use in a data module."""

from __future__ import annotations

import pickle as pickles
from typing import Any

import torch
from torch import Tensor

from fulmen.core.errors import FulmenError
from fulmen.data import ArrayData
from fulmen.testing.image_subject import ImageAugmentation, photos
from fulmen.testing.kit import CheckError, require
from fulmen.testing.state import changes, snapshot
from fulmen.testing.training import pictures, quiet

_DRAW = "draw from the generators of set_random_state alone"
_SHAPE = (3, 16, 16)
_SAME = f"32 samples of one image all become the same; {_DRAW}, or give `options` that act on 96 by 96 pixels"


def reproducible(augmentation: ImageAugmentation) -> None:
    """The same seed, epoch and sample give the same image, whatever came before."""
    images = photos()
    pipeline = augmentation.pipeline(images.shape[1:])
    first = augmentation.augmented(images, pipeline, epoch=3)
    require(torch.equal(augmentation.augmented(images, pipeline, epoch=3), first), f"it repeats differently; {_DRAW}")
    require(torch.equal(augmentation.augmented(images, epoch=3), first), f"a new one with the seed differs; {_DRAW}")


def draws_anew(augmentation: ImageAugmentation) -> str | None:
    """Other samples, epochs and seeds give other images: a stream that never moves is no augmentation."""
    if augmentation.deterministic:
        return "it draws nothing"
    images = photos(1, (3, 96, 96)).expand(32, -1, -1, -1)
    out = augmentation.augmented(images)
    require(not all(torch.equal(one, out[0]) for one in out), _SAME)
    require(not torch.equal(augmentation.augmented(images, epoch=1), out), f"two epochs are the same; {_DRAW}")
    require(not torch.equal(augmentation.augmented(images, seed=1), out), f"two seeds give the same images; {_DRAW}")
    return None


def samples_independent(augmentation: ImageAugmentation) -> None:
    """An image does not depend on the others of its batch, nor on their order."""
    images = photos()
    pipeline = augmentation.pipeline(images.shape[1:])
    together = augmentation.augmented(images, pipeline)
    for i in reversed(range(len(images))):
        alone = augmentation.augmented(images[i : i + 1], pipeline, first=i)[0]
        require(torch.equal(alone, together[i]), f"sample {i} alone differs from its batch's; keep nothing, {_DRAW}")


def no_global_state(augmentation: ImageAugmentation) -> None:
    """Making and using it leaves global random state and settings as they are."""
    images = photos()
    before = snapshot()
    augmentation.augmented(images)
    changed = changes(before)
    require(not changed, f"it changes {', '.join(changed)}; {_DRAW}")


def pickle(augmentation: ImageAugmentation) -> None:
    """It can be pickled, as worker processes that are spawned need it, and then gives the same images."""
    images = photos()
    pipeline = augmentation.pipeline(images.shape[1:])
    expected = augmentation.augmented(images, pipeline)
    try:
        twin = pickles.loads(pickles.dumps(pipeline))
    except (pickles.PicklingError, AttributeError, TypeError) as error:
        raise CheckError(f"it cannot be pickled: {error}; keep no lambda, and define it in a module") from error
    require(torch.equal(augmentation.augmented(images, twin), expected), f"unpickled, it gives other images; {_DRAW}")


def _spec(augmentation: ImageAugmentation) -> Any:
    return {**augmentation.spec, **augmentation.certain()}


def _data(augmentation: ImageAugmentation, **options: Any) -> ArrayData:
    data = pictures(shape=_SHAPE, **{"augment": [_spec(augmentation)], **options})
    try:
        data.setup("fit")
    except FulmenError as error:
        raise CheckError(f"a data module refuses it: {error}") from error
    return data


def _batches(data: ArrayData, epochs: int) -> list[Tensor]:
    loader = data.train_dataloader()
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        found += [batch.inputs for batch in loader]
    return found


def training_only(augmentation: ImageAugmentation) -> None:
    """In a data module it changes training samples, and no validation sample."""
    with quiet():
        data, plain = _data(augmentation), _data(augmentation, augment=None)
        for split, changed in (("train", True), ("val", False)):
            ours, theirs = (
                _batches(d, 2) if split == "train" else [batch.inputs for batch in d.val_dataloader()]
                for d in (data, plain)
            )
            same = all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
            require(same is not changed, f"{split} samples are {'as they were' if same else 'changed'}")


def workers(augmentation: ImageAugmentation) -> None:
    """Two worker processes give the images of none."""
    with quiet():
        alone, shared = (_batches(_data(augmentation, num_workers=n), 2) for n in (0, 2))
    same = all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    require(same, f"two worker processes give other images than none; {_DRAW}")
