"""What comes out depends on the seed, the epoch and the sample alone, and no global stream is read or written."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from fulmen.augment import TextPipeline
from fulmen.core.spec import build

TEXTS = [
    f"The film number {i} was good, and I love how quickly the large story about receiving letters ends ({i}.5)!"
    for i in range(12)
]


def epoch(spec: dict[str, Any], batches: list[list[int]], number: int = 0, seed: int = 0) -> list[str]:
    pipeline = TextPipeline([{**spec, "p": 0.3}], seed=seed)
    found: dict[int, str] = {}
    for rows in batches:
        index = torch.tensor(rows)
        found.update(zip(rows, pipeline([TEXTS[row] for row in rows], index, number), strict=True))
    return [found[i] for i in range(12)]


def test_batches_and_order_play_no_part(spec: dict[str, Any]) -> None:
    expected = epoch(spec, [list(range(12))])
    assert epoch(spec, [[row] for row in range(12)]) == expected
    assert epoch(spec, [[11, 3, 5, 0], [1, 2, 4], [10, 9, 8, 7, 6]]) == expected
    assert epoch(spec, [list(range(12)), list(range(12))]) == expected  # a second time over
    assert expected != TEXTS


def test_another_epoch_seed_or_sample_gives_another_result(spec: dict[str, Any]) -> None:
    rows = [list(range(12))]
    assert len({tuple(epoch(spec, rows, number)) for number in range(6)}) == 6
    assert len({tuple(epoch(spec, rows, seed=seed)) for seed in range(6)}) == 6
    pipeline = TextPipeline([{**spec, "p": 0.3}])
    assert len(set(pipeline([TEXTS[0]] * 30, torch.arange(30)))) > 3


def test_global_streams_are_neither_read_nor_written(spec: dict[str, Any]) -> None:
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (whether it is read is the question)
        before = random.getstate(), np.random.get_state()  # noqa: NPY002
        results.append(epoch(spec, [list(range(12))]))
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        assert python == before[0]
        assert all(np.array_equal(a, b) for a, b in zip(numpy, before[1], strict=True))
    assert results[0] == results[1]


def test_alone_it_draws_from_a_stream_of_its_own(spec: dict[str, Any]) -> None:
    """Without a pipeline results differ from call to call, and the global stream is still left alone."""
    augmenter = build("text_augmentations", {**spec, "p": 0.3})
    before = random.getstate()
    assert len({augmenter.augment(TEXTS[0])[0] for _ in range(40)}) > 3
    assert random.getstate() == before


def test_travels_to_other_processes(spec: dict[str, Any]) -> None:
    pipeline = TextPipeline([{**spec, "p": 0.3}])
    copy = pickle.loads(pickle.dumps(pipeline))
    assert copy(TEXTS, torch.arange(12)) == pipeline(TEXTS, torch.arange(12))


SCRIPT = """
import torch
from fulmen.augment import TextPipeline
names = ["swap", "delete", "crop", "insert", "keyboard", "ocr", "spelling", "split"]
pipeline = TextPipeline([{"name": name, "p": 0.3} for name in names])
print(pipeline(["The film was good, and I receive a letter about their beautiful house."] * 30, torch.arange(30)))
"""


@pytest.mark.slow
def test_hashes_of_the_process_play_no_part() -> None:
    """Sets of strings have another order in each process; nlpaug's spelling errors depend on it."""
    printed = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] != ""
