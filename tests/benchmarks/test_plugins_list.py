"""What `lightning plugins list` costs with 100 packages installed, beside Python's own start, in one run.

Counted are seconds of the processor, which are those of the clock on a quiet machine: the command is one thread, and
its files are in memory after the first run. The least of several runs is what it takes; the others were disturbed.

uv run pytest tests/benchmarks/test_plugins_list.py -o addopts= -s
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGES, ROUNDS, LIMIT = 100, 15, 0.150

LIST = "import sys; sys.argv = ['lightning']; from fulmen.cli.main import main; main(['plugins', 'list'])"
CHECK = "print(sorted(m for m in sys.modules if m == 'torch' or m.startswith('crowd_')), file=sys.stderr)"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with 100 more distributions, each with a plugin, and with compiled modules, as pip leaves them."""
    folder = tmp_path_factory.mktemp("crowd")
    site = folder / "site"
    site.mkdir()
    for i in range(PACKAGES):
        _package(site, i)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FULMEN_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(site), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def _package(site: Path, number: int) -> None:
    module = f"crowd_{number}"
    lines = "".join(f"LINE_{i} = {i}\n" for i in range(100))
    (site / f"{module}.py").write_text(f'import torch\n\n{lines}\n\nclass Bump:\n    """Bump {number}."""\n')
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    requires = "Requires-Dist: fulmen<1,>=0.1\nRequires-Dist: torch"
    head = f"Metadata-Version: 2.1\nName: crowd-{number}\nVersion: 1.0\n{requires}"
    (info / "METADATA").write_text(f"{head}\n\n" + "A long description.\n" * 200)
    (info / "entry_points.txt").write_text(f"[fulmen.activations]\nbump_{number} = {module}:Bump\n")


def _run(code: str, environ: dict[str, str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Seconds of the processor that a process of Python took, and how it ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.mark.slow
def test_list_shows_all_and_imports_none(environ: dict[str, str]) -> None:
    _, done = _run(f"{LIST}; {CHECK}", environ)
    lines = [line for line in done.stdout.splitlines() if " crowd-" in line]
    assert len(lines) == PACKAGES
    assert all("Bump " in line for line in lines)
    assert done.stderr == "[]\n"


@pytest.mark.benchmark(group="plugins list")
def test_list_costs_little_more_than_python(benchmark: Any, environ: dict[str, str]) -> None:
    starts: list[float] = []
    lists: list[float] = []

    def turns() -> None:
        starts.append(_run("pass", environ)[0])
        lists.append(_run(LIST, environ)[0])

    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)  # the first compiles
    extra = min(lists) - min(starts)
    print(f"\npython {min(starts) * 1e3:.0f} ms, list {min(lists) * 1e3:.0f} ms: {extra * 1e3:.0f} ms more")
    assert extra <= LIMIT
