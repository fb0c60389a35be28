"""`lightning init`: looks at data, says what they are, and writes a config that trains on them."""

from __future__ import annotations

from pathlib import Path


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning init`.

    Args:
        command: ``init``.
        arguments: What follows it.

    Raises:
        FulmenError: If there are no such data, they cannot be trained on, or something has to be said.
    """
    from fulmen.cli.init.found import shown
    from fulmen.cli.init.looking import look
    from fulmen.cli.init.options import check_used, parse
    from fulmen.cli.init.writing import check_free, config_text, quoted, write

    options = parse(command, arguments)
    if options.out is not None:
        check_free(options.out)
    found = look(options)
    check_used(options, found)
    out = options.out or Path(f"{found.name}.yaml")
    check_free(out)
    print("\n".join(found.says))
    name = shown(out)
    write(out, config_text(found, name))
    commands = "\n".join(f"  lightning {command} --config {quoted(name)}" for command in ("check", "fit"))
    print(f"\n{name} is written. Next:\n{commands}")
