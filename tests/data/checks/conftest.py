"""Data with defects that are known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fulmen.data.findings import Finding


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that no other test has filled."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FULMEN_CACHE", str(folder))
    return folder


def photo(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """Something with coarse and fine structure, unlike the photo of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    fine = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(coarse) + fine).clip(0, 255).astype(np.uint8))


def save(image: Image.Image, path: Path, quality: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": quality} if path.suffix == ".jpg" else {}))
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Clean class folders: 12 cats and 12 dogs to train on, 6 of each to validate and to test."""
    root, seed = tmp_path / "pets", 0
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        for name in ("cat", "dog"):
            for i in range(count):
                save(photo(seed), root / split / name / f"{i}.jpg")
                seed += 1
    return root


def by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The findings by name; each is expected once."""
    found: dict[str, Finding] = {}
    for finding in findings:
        assert finding.check not in found, finding
        found[finding.check] = finding
    return found
