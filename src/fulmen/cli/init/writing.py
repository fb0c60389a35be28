"""The file that `lightning init` leaves."""

from __future__ import annotations

from pathlib import Path

from fulmen.cli.init.entries import Entry, one_line, render
from fulmen.cli.init.found import Found
from fulmen.core.errors import ConfigError


def config_text(found: Found, name: str) -> str:
    """The whole config.

    Args:
        found: What was found.
        name: The file's name, from the current folder.
    """
    said = "".join(f"# {' ' * (len(line) - len(line.lstrip()))}{one_line(line)}\n" for line in found.says)
    seed = Entry("seed_everything", 0, "the same seed gives the same result")
    return (
        f"# lightning fit --config {quoted(name)}\n#\n{said}{render([seed, found.model, found.data, *found.training])}"
    )


def quoted(name: str) -> str:
    """A file's name as it is typed in a shell.

    >>> quoted("a.yaml"), quoted("my data.yaml")
    ('a.yaml', "'my data.yaml'")
    """
    import shlex

    return shlex.quote(name)


def check_free(path: Path) -> None:
    """Raises :class:`ConfigError` if a file is there already, or cannot be written."""
    if path.exists():
        other = path.with_name(f"{path.stem}_2{path.suffix}")
        raise ConfigError(
            f"out: {path} exists, and is never overwritten; write --out {quoted(str(other))}, or remove it"
        )
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"out: there is no folder {str(path.parent)!r}; make it first")
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"out: {path} must end in .yaml")


def write(path: Path, text: str) -> None:
    """Writes a file that does not exist yet.

    Raises:
        ConfigError: If it does, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        check_free(path)
    except OSError as error:
        raise ConfigError(f"out: {path} cannot be written: {error.strerror}") from error
