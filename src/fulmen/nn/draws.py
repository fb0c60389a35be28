"""Random numbers of an optimizer step."""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np


def step_generator(module: Any, name: str) -> np.random.Generator:
    """Random numbers that depend on the run's seed, the optimizer step and a name alone.

    The micro-batches of a step, its processes and a replay of it get the same numbers; so does a run that is
    resumed. The global random state is neither read nor moved.

    Args:
        module: What is trained; its trainer counts the steps.
        name: Of who draws, so that two do not draw alike.
    """
    seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
    return np.random.default_rng([seed, int(module.trainer.global_step), zlib.crc32(name.encode())])
