"""What reading a table and gathering its batches cost, as ratios in one run.

uv run pytest tests/benchmarks/test_table_loading.py -o addopts= -s
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv

from fulmen.data import TabularData
from fulmen.modules import MLPModule

BATCH, ROUNDS = 256, 7


def write_like_adult(path: Path, rows: int) -> Path:
    """Six numbers and eight categories, of as many values as the census table has."""
    rng = np.random.default_rng(0)
    table: dict[str, Any] = {f"number_{i}": rng.normal(size=rows).round(4) for i in range(6)}
    for i, count in enumerate((9, 16, 7, 15, 6, 5, 3, 42)):
        table[f"word_{i}"] = np.array([f"value {k}" for k in range(count)])[rng.integers(0, count, rows)]
    table["label"] = np.array(["no", "yes"])[rng.integers(0, 2, rows)]
    csv.write_csv(pa.table(table), path)
    return path


def seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def training_epoch(data: TabularData) -> tuple[Any, Any]:
    """A function that reads all batches, and one that makes a step with each: no loop, log or metric around them."""
    facts = {n: getattr(data, n) for n in ("input_shape", "num_outputs", "class_names", "target_type", "categories")}
    torch.manual_seed(0)
    model = MLPModule([128, 64], dropout=0.2, activation="gelu", **facts)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    loader = data.train_dataloader()
    batches = list(loader)

    def read() -> None:
        for _ in loader:
            pass

    def train() -> None:
        for batch in batches:
            optimizer.zero_grad()
            model.task.loss(model(batch.inputs), batch.targets).backward()
            optimizer.step()

    return read, train


@pytest.mark.slow
@pytest.mark.benchmark(group="tables")
def test_the_loader_costs_under_a_tenth_of_a_step(benchmark: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = TabularData(str(write_like_adult(tmp_path / "table.csv", 32_561)), "label", batch_size=BATCH)
    data.setup("fit")
    read, train = training_epoch(data)
    ratios: list[float] = []

    def turns() -> None:
        ratios.append(seconds(read) / seconds(train))

    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)
    share = statistics.median(ratios[1:])
    print(f"\nloader beside forward, backward and step: {share:.1%}")
    assert share < 0.1


@pytest.mark.slow
@pytest.mark.benchmark(group="tables")
def test_reading_grows_no_worse_than_linearly(benchmark: Any, tmp_path: Path) -> None:
    few, many = (write_like_adult(tmp_path / f"{rows}.csv", rows) for rows in (50_000, 200_000))
    ratios: list[float] = []

    def load(path: Path) -> None:
        TabularData(str(path), "label").setup("validate")

    def turns() -> None:
        first = seconds(lambda: load(few))
        ratios.append(seconds(lambda: load(many)) / first)

    benchmark.pedantic(turns, rounds=3, warmup_rounds=1)
    ratio = statistics.median(ratios[1:])
    print(f"\nfour times the rows take {ratio:.1f} times as long")
    assert ratio < 5
