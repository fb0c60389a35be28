"""What holds for every name that the package declares."""

import inspect
import pickle
import random
import re
from importlib.metadata import entry_points
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.augment import ImagePipeline
from fulmen.core.errors import ConfigError, DataError, SpecError
from fulmen.core.spec import build, resolve

NAMES = sorted(
    e.name for e in entry_points(group="fulmen.image_augmentations") if e.value.startswith("fulmen_albumentations.")
)
NESTED: dict[str, dict[str, Any]] = {
    "one_of": {"transforms": ["flip", {"name": "rotate", "degrees": 30}, "crop", "albumentations.GaussNoise"]},
    "some_of": {"transforms": ["translate", "noise", {"name": "one_of", "transforms": ["crop", "shear"]}], "n": 2},
}


def spec(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, **NESTED.get(name, {}), **options}


def images(n: int = 12, channels: int = 3, height: int = 8, width: int = 8, dtype: Any = np.uint8) -> torch.Tensor:
    made = np.random.default_rng(0).integers(0, 256, (n, channels, height, width), dtype=np.uint8)
    return torch.from_numpy(made if dtype is np.uint8 else (made / 255).astype(np.float32))


def pipeline(name: str, shape: tuple[int, int, int] = (3, 8, 8), seed: int = 0, **options: Any) -> ImagePipeline:
    return ImagePipeline([spec(name, **options)], shape, seed)


def globals_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()  # noqa: NPY002
    return random.getstate(), state[1].tobytes(), state[2], torch.get_rng_state().numpy().tobytes()


def test_the_names_of_the_issue_are_there() -> None:
    wanted = (
        "flip rotate translate scale shear crop resized_crop color_jitter blur noise cutout grid_distortion elastic"
    )
    assert set(wanted.split()) | {"rand_augment", "trivial_augment", "light", "medium", "strong"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_depends_on_seed_epoch_and_row_alone(name: str) -> None:
    batch, rows, before = images(32, 3, 32, 32), torch.arange(32), globals_state()
    shape = (3, 32, 32)
    augment = pipeline(name, shape)
    whole = augment(batch, rows, epoch=3)
    assert torch.equal(whole, augment(batch, rows, epoch=3)), "the second call"
    parts = [augment(batch[part], part, epoch=3) for part in rows.split(5)]
    assert torch.equal(whole, torch.cat(parts)), "batches of 5"
    back = rows.flip(0)
    sent = pickle.loads(pickle.dumps(augment))
    assert torch.equal(whole, sent(batch, rows, epoch=3)), "a worker that is not forked"
    assert torch.equal(whole, pipeline(name, shape)(batch[back], back, epoch=3).flip(0)), (
        "another process, another order"
    )
    assert not torch.equal(whole, augment(batch, rows, epoch=4)), "another epoch"
    assert not torch.equal(whole, pipeline(name, shape, seed=1)(batch, rows, epoch=3)), "another seed"
    assert not torch.equal(whole, augment(batch, rows + 32, epoch=3)), "other rows"
    assert globals_state() == before


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_type_shape_and_range_stay(name: str, channels: int, dtype: Any) -> None:
    for height, width in [(8, 8), (9, 30)]:
        batch = images(6, channels, height, width, dtype)
        out = pipeline(name, (channels, height, width), p=1.0)(batch, torch.arange(6))
        assert (out.dtype, out.shape) == (batch.dtype, batch.shape)
        assert 0 <= float(out.min()) <= float(out.max()) <= (255 if dtype is np.uint8 else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_large_photos(name: str) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    out = pipeline(name, (3, 24, 32), p=1.0)([photo], torch.tensor([0]), fit=lambda image: image[:24, :32])
    assert out.shape == (1, 3, 24, 32)


@pytest.mark.parametrize("name", NAMES)
def test_p_0_changes_nothing(name: str) -> None:
    batch = images()
    assert torch.equal(pipeline(name, p=0.0)(batch, torch.arange(12)), batch)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_out_of_range(name: str, p: float) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"augment[0]: p: {p:g} is out of range; allowed: 0 <= p <= 1")):
        pipeline(name, p=p)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_annotated_and_documented(name: str) -> None:
    target = resolve("image_augmentations", spec(name))[1]
    documented = inspect.getdoc(target) or ""
    for option, parameter in inspect.signature(target).parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert re.search(rf"^ +{option}: \S", documented, re.MULTILINE), f"{option} has no line under Args:"


@pytest.mark.parametrize("name", NAMES)
def test_misspelt_options_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="unknown option 'pp' of image augmentation"):
        pipeline(name, pp=1)
    with pytest.raises(SpecError, match="unknown option 'image_shape'"):
        pipeline(name, image_shape=[3, 8, 8])


OUT_OF_RANGE = [
    ("rotate", {"degrees": -1}, "degrees: -1 is out of range; allowed: 0 <= degrees <= 180"),
    ("translate", {"fraction": 2}, "fraction: 2 is out of range; allowed: 0 <= fraction <= 1"),
    ("scale", {"range": [0, 1]}, "range: 0 is out of range; allowed: range >= 0.01"),
    ("scale", {"range": [2, 1]}, "range: [2, 1] is out of order; write [1, 2]"),
    ("shear", {"degrees": 90}, "degrees: 90 is out of range; allowed: 0 <= degrees <= 80"),
    ("crop", {"padding": 1.5}, "padding: 1.5 is out of range; allowed: 0 <= padding <= 1"),
    ("resized_crop", {"scale": [0, 1]}, "scale: 0 is out of range; allowed: 0 < scale <= 1"),
    ("resized_crop", {"ratio": [1, float("inf")]}, "ratio: inf is out of range; allowed: ratio >= 0.01"),
    ("color_jitter", {"hue": 0.6}, "hue: 0.6 is out of range; allowed: 0 <= hue <= 0.5"),
    ("color_jitter", {"contrast": 1.1}, "contrast: 1.1 is out of range; allowed: 0 <= contrast <= 1"),
    ("blur", {"sigma": [0.1, 3]}, "sigma: 3 is out of range; allowed: 0 <= sigma <= 1"),
    ("noise", {"std": [0.2, 0.1]}, "std: [0.2, 0.1] is out of order; write [0.1, 0.2]"),
    ("cutout", {"holes": 0}, "holes: 0 is out of range; allowed: holes >= 1"),
    ("cutout", {"fraction": 1.1}, "fraction: 1.1 is out of range; allowed: 0 <= fraction <= 1"),
    ("grid_distortion", {"steps": 0}, "steps: 0 is out of range; allowed: steps >= 1"),
    ("grid_distortion", {"limit": 1}, "limit: 1 is out of range; allowed: 0 <= limit <= 0.9"),
    ("elastic", {"displacement": 0.1}, "displacement: 0.1 folds the image; allowed: displacement <= 0.075"),
    ("elastic", {"smoothness": 0}, "smoothness: 0 is out of range; allowed: 0.01 <= smoothness <= 1"),
    ("rand_augment", {"magnitude": 15}, "magnitude: 15 is out of range; allowed: 0 <= magnitude <= 10"),
    ("rand_augment", {"num_ops": 0}, "num_ops: 0 is out of range; allowed: num_ops >= 1"),
    ("some_of", {"n": 4}, "n: 4 is out of range; allowed: 1 <= n <= 3"),
    ("some_of", {"transforms": []}, "transforms: there is none to choose from"),
    ("one_of", {"transforms": [{"name": "flip", "p": 0}]}, "transforms: every p is 0"),
    ("one_of", {"transforms": ["flop"]}, "augment[0].transforms[0]: unknown image augmentation 'flop'; did you mean"),
    ("one_of", {"transforms": [{"name": "rotate", "degres": 3}]}, "augment[0].transforms[0].degres: unknown option"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "message"), OUT_OF_RANGE)
def test_options_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        pipeline(name, **options)


@pytest.mark.parametrize("name", ["crop", "resized_crop"])
def test_a_crop_needs_a_size(name: str) -> None:
    with pytest.raises(ConfigError, match=r"image_shape: None does not say what to cut to; write image_shape=\(C, H"):
        build("image_augmentations", name)


def test_nested_transforms_share_the_streams() -> None:
    nested = [spec("strong"), spec("some_of"), spec("rand_augment"), spec("trivial_augment"), spec("crop")]
    augment = ImagePipeline(nested, (3, 8, 8))

    def walk(transform: Any) -> int:
        assert transform.random_generator is augment.streams.numpy
        assert transform.py_random is augment.streams.python
        return 1 + sum(walk(child) for child in getattr(transform, "transforms", []) if hasattr(child, "p"))

    assert sum(walk(transform) for _, transform in augment.transforms) > 40


def test_every_albumentations_composition_passes_the_streams_on() -> None:
    """2.0.8 does so by `set_random_state`; another version might not."""
    numpy, python = np.random.default_rng(1), random.Random(1)
    leaf = A.HorizontalFlip()
    for composition in (A.Sequential, A.OneOf, A.SomeOf, A.RandomOrder, A.Compose):
        composition([A.Sequential([A.OneOf([leaf])])]).set_random_state(numpy, python)
        assert leaf.random_generator is numpy
        assert leaf.py_random is python
        leaf.set_random_seed(0)


@given(rows=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), epoch=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_row_does_not_know_its_batch(rows: list[int], epoch: int) -> None:
    augment, batch = pipeline("strong"), images(1).expand(len(rows), -1, -1, -1)
    together = augment(batch, torch.tensor(rows), epoch)
    alone = [augment(batch[:1], torch.tensor([row]), epoch) for row in rows]
    assert torch.equal(together, torch.cat(alone))


def test_failure_names_sample_and_transform() -> None:
    augment = ImagePipeline(["flip", "albumentations.MaskDropout"], (3, 8, 8))
    augment.transforms[1][1].p = 1.0
    with pytest.raises(
        DataError, match=r"'albumentations.MaskDropout' failed on photos/7.jpg: ValueError: MaskDropout"
    ):
        augment(images(1), torch.tensor([7]), describe=lambda row: f"photos/{row}.jpg")
