"""What a run was made with, ``environment.json``: versions, machine, commit, command line; and what differs later."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Any

from fulmen.core.registry import KINDS, OWN

ENVIRONMENT = "environment.json"
_GIT_SECONDS = 5
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def describe(used: Iterable[Mapping[str, Any]], arguments: Iterable[str]) -> dict[str, Any]:
    """The environment of this process, in JSON's types.

    Args:
        used: What the run is made of, see :func:`fulmen.core.provenance.records`.
        arguments: What follows ``lightning fit``.
    """
    import torch

    cuda = torch.cuda.is_available()
    distributions = {r["distribution"]: r["version"] for r in used if r.get("distribution") not in (None, OWN)}
    return {
        "command": shlex.join(["lightning", "fit", *arguments]),
        "folder": str(Path.cwd()),
        "git": git_state(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "versions": {**versions(), "torch": str(torch.__version__)},  # with its build: +cpu, +cu126
        "plugins": {**plugins()},
        "used": distributions,
    }


@cache
def versions() -> dict[str, str]:
    """Version of this package and of each that it needs."""
    needed = [m[0] for line in requires(OWN) or [] if "extra ==" not in line and (m := _NAME.match(line))]
    found = {}
    for name in [OWN, *needed]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one that a marker rules out here
            continue
    return found


@cache
def plugins() -> dict[str, str]:
    """Version of each installed distribution that adds components, used or not."""
    found = {}
    installed = entry_points()
    for kind in KINDS:
        for entry in installed.select(group=f"{OWN}.{kind}"):
            if entry.dist is not None and entry.dist.name != OWN:
                found[entry.dist.name] = entry.dist.version
    return dict(sorted(found.items()))


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that a folder lies in, and whether its tracked files were changed since.

    Returns:
        ``{"commit": ..., "dirty": ...}``; ``None`` where there is no repository, no commit, or no git.
    """
    command = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # it only looks
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if done.returncode != 0 or commit in (None, "(initial)"):
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def read(run: Path) -> dict[str, Any] | None:
    """The environment of a run; ``None`` where nothing was written."""
    file = run / ENVIRONMENT
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text())
    except json.JSONDecodeError:  # cut off when the process was killed
        return None
    return found if isinstance(found, dict) else None


def write(run: Path, facts: Mapping[str, Any]) -> None:
    """Writes the environment of a run; a process that is killed meanwhile leaves the old file whole."""
    unfinished = run / f"{ENVIRONMENT}.part"
    unfinished.write_text(json.dumps(facts, indent=2) + "\n")
    unfinished.replace(run / ENVIRONMENT)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What may change a run's numbers, where it differs: versions, processor, threads, devices, commit.

    Args:
        then: Of the run.
        now: Of this process.

    >>> differences({"python": "3.12.1", "versions": {"torch": "2.6.0"}}, {"python": "3.12.1", "versions": {}})
    ['torch 2.6.0 (not installed here)']
    """
    found = []
    for name, old in {**then.get("versions", {}), **then.get("used", {})}.items():
        new = {**now.get("versions", {}), **now.get("plugins", {})}.get(name)
        if new != old:
            found.append(f"{name} {old} ({f'here {new}' if new else 'not installed here'})")
    words = {"python": "python", "cpu": "processor", "torch_threads": "torch threads", "cuda": "cuda", "cudnn": "cudnn"}
    for key, word in words.items():
        if then.get(key) != now.get(key):
            found.append(f"{word} {then.get(key) or 'none'} (here {now.get(key) or 'none'})")
    if then.get("gpus") != now.get("gpus"):
        old, new = (", ".join(e.get("gpus") or []) or "none" for e in (then, now))
        found.append(f"gpus {old} (here {new})")
    commits = [(e.get("git") or {}).get("commit") for e in (then, now)]
    if commits[0] and commits[0] != commits[1]:
        found.append(f"commit {commits[0][:7]} (here {(commits[1] or 'none')[:7]})")
    return found


def relative_paths(config: object, folder: Path) -> list[str]:
    """Values of a config that are files or folders below the folder that it was trained in.

    Args:
        config: The parsed YAML, or a part of it.
        folder: Where it was trained.
    """
    return sorted({text for text in _strings(config) if _is_relative_path(text, folder)})


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _is_relative_path(text: str, folder: Path) -> bool:
    if not text or len(text) > 255 or "\0" in text or Path(text).is_absolute():
        return False
    return ("/" in text or "." in text) and (folder / text).exists()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
