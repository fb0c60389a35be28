"""The checks of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from fulmen.core.errors import ConfigError, unknown
from fulmen.tasks.base import TaskName
from fulmen.testing import module_training, module_use
from fulmen.testing import options as shared
from fulmen.testing.kit import checks_of, make_test
from fulmen.testing.module_subject import Module

CHECKS = checks_of("module", shared, module_training, module_use)
"""Name -> check."""


def check_module(
    component: Any,
    *,
    options: Mapping[str, Any] | None = None,
    input_shape: Sequence[int] = (1, 8, 8),
    tasks: Sequence[TaskName] = get_args(TaskName),
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test of a module, one item for each check of :data:`CHECKS`.

    Args:
        component: The subclass of :class:`fulmen.modules.SupervisedModule`, or its dotted path.
        options: Its options, as a config gives them.
        input_shape: Shape of the samples that it is checked with.
        tasks: The tasks that it supports.
        expected_failures: Check -> why it fails; a check that passes all the same fails the test.
        allowed_skips: Check -> why it may be skipped.

    Raises:
        ConfigError: If a task is not known, or there is none.
        ValueError: If a check is not known or has no reason.
    """
    if not tasks:
        raise ConfigError(f"tasks: name one at least of {', '.join(get_args(TaskName))}")
    for task in tasks:
        if task not in get_args(TaskName):
            raise ConfigError(f"tasks: {unknown('task', task, get_args(TaskName))}")
    subject = Module("module", component, dict(options or {}), tuple(input_shape), tuple(tasks))
    return make_test(CHECKS, subject, expected_failures, allowed_skips)
