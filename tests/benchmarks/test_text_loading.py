"""What loading tokenized texts costs beside a training step, and what length buckets save: ratios in one run.

The job: 20,000 generated texts of 1 to 200 words (20 on average, as tweets and single sentences have), a vocabulary of
10,000 words as frequent as Zipf's law has it, batches of 64, one core. Loading and training take turns.

    uv run pytest tests/benchmarks/test_text_loading.py -o addopts= -s
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fulmen.data import TextData
from fulmen.data.sampler import ShardedSampler
from fulmen.modules import SupervisedModule, TextCNNModule, TextMLPModule

TEXTS, WORDS, BATCH, BATCHES, ROUNDS = 20_000, 10_000, 64, 60, 3


def table(path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = np.array([f"w{i}" for i in range(WORDS)])
    shares = 1 / np.arange(1, WORDS + 1)
    lengths = rng.geometric(0.05, TEXTS).clip(max=200)
    words = names[rng.choice(WORDS, int(lengths.sum()), p=shares / shares.sum())]
    rows = (" ".join(part) for part in np.split(words, lengths.cumsum()[:-1]))
    path.write_text("text,label\n" + "".join(f"{row},{i % 2}\n" for i, row in enumerate(rows)))
    return path


def load(data: TextData) -> tuple[float, list[Any]]:
    """Seconds a batch, and the batches."""
    iterator, start = iter(data.train_dataloader()), time.perf_counter()
    batches = [next(iterator) for _ in range(BATCHES)]
    return (time.perf_counter() - start) / BATCHES, batches


def train(module: SupervisedModule, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
    """Seconds a step: forward, backward and the optimizer, without Lightning."""
    start = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        module.compute_loss(module(batch.inputs), batch.targets).backward()
        optimizer.step()
    return (time.perf_counter() - start) / len(batches)


def padded(data: TextData, buckets: bool) -> float:
    """Share of padding in the training batches of an epoch."""
    dataset: Any = data.datasets["train"]
    lengths = dataset.lengths if buckets else None
    sampler = ShardedSampler(dataset, shuffle=True, num_replicas=1, rank=0, lengths=lengths, batch_size=BATCH)
    batches = dataset.lengths[torch.tensor(list(sampler))].split(BATCH)
    return 1 - sum(int(b.sum()) for b in batches) / sum(int(b.max()) * len(b) for b in batches)


@pytest.mark.slow
@pytest.mark.benchmark(group="text loading")
def test_loading_costs_little(benchmark: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    data = TextData(str(table(tmp_path / "texts.csv")), batch_size=BATCH)
    data.setup("fit")
    print(f"\n{TEXTS:,} texts read, split and tokenized in {time.perf_counter() - start:.1f} s")
    print(f"{'':<14}{'loading':>10}{'step':>10}{'ratio':>8}   ms a batch of {BATCH}")
    for module_class in (TextMLPModule, TextCNNModule):
        module = module_class(
            vocabulary_size=data.vocabulary_size, input_shape=data.input_shape, num_outputs=1, task="binary"
        )
        optimizer = torch.optim.Adam(module.parameters(), fused=True)
        found = []
        for _ in range(ROUNDS + 1):
            loading, batches = load(data)
            found.append((loading, train(module, optimizer, batches)))
        loading, step = (statistics.median(times) for times in zip(*found[1:], strict=True))
        print(f"{module_class.__name__:<14}{1000 * loading:10.2f}{1000 * step:10.2f}{loading / step:8.3f}")
        assert loading < 0.1 * step
    at_random, in_buckets = padded(data, buckets=False), padded(data, buckets=True)
    print(f"padding: {at_random:.1%} of a batch at random, {in_buckets:.1%} in buckets")
    assert in_buckets < at_random / 4
    benchmark(lambda: data.datasets["train"].__getitems__(list(range(BATCH))))
