"""Several processes on one study."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from fulmen.cli.processes import shared_cores
from fulmen.core.errors import FulmenError

WORKER = "--worker"


def run_workers(jobs: int, folder: Path) -> None:
    """Starts processes that work on a study, and waits for them.

    Args:
        jobs: How many; they share the processors evenly.
        folder: Of the study.

    Raises:
        FulmenError: If one of them ends with an error; it has said why.
        KeyboardInterrupt: If a person stops them.
    """
    command = [sys.executable, "-m", "fulmen.cli", "tune", "--study", str(folder), WORKER]
    with shared_cores(jobs):
        workers = [subprocess.Popen(command) for _ in range(jobs)]
    try:
        codes = [worker.wait() for worker in workers]
    except KeyboardInterrupt:
        for worker in workers:  # where the terminal has not told them already
            if worker.poll() is None:
                worker.send_signal(signal.SIGINT)
        for worker in workers:
            worker.wait()
        raise
    wrong = [code for code in codes if code]
    if 130 in wrong:
        raise KeyboardInterrupt
    if 2 in wrong:
        raise FulmenError(f"{len(wrong)} of {jobs} processes ended with the message above")
    if wrong:
        how = ", ".join(map(str, wrong))
        print(f"note: {len(wrong)} of {jobs} processes ended with {how}", file=sys.stderr)
