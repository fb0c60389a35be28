"""Makes the parser's messages readable: the place, what is wrong, what is allowed, and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from fulmen.core.errors import FulmenError, nearest, unknown

_KEY = re.compile(r'Parser key "([^"]+)"|Problem with given class_path \'([^\']+)\'')
_OPTION = re.compile(r"Option '([^']+)' is not accepted")
_SUBCOMMAND_OPTION = re.compile(r"does not accept option '([^']+)'")
_UNRECOGNIZED = re.compile(r"unrecognized arguments: (--[^\s=]+)", re.IGNORECASE)
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_WRONG_CLASS = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
_REQUIRED = re.compile(r"following arguments are required: (.+)")
_CANNOT_IMPORT = re.compile(r"(No module named .+|module '[^']+' has no attribute .+)")
_EXPECTED = re.compile(r"Expected a ([^\n]+?)(?:\. Got value: ([^\n]*))?$", re.MULTILINE)
_GIVEN = re.compile(r"Given value: ([^\n]*)")
_LITERAL = re.compile(r"Literal\[(.*?)\]")
_ROOMS = {"model": "fulmen.modules", "data": "fulmen.data"}
_SWITCHES = {"early_stopping", "checkpoint", "ema", "swa"}
"""Keys that hold the options of one callback, or null."""
_TYPES = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'str'>": "text",
    "<class 'bool'>": "true or false",
    "<class 'list'>": "a list",
    "<class 'dict'>": "a mapping {key: value}",
    "<class 'NoneType'>": "null",
}


def readable(message: str, parser: Any) -> str:
    """Rewrites a message of jsonargparse.

    Args:
        message: As jsonargparse gives it: every type that was tried, around the one line that matters.
        parser: The parser that gave it, which knows the options.

    Returns:
        One or two lines; what is not understood stays as it was.
    """
    option = _UNRECOGNIZED.search(message) or _SUBCOMMAND_OPTION.search(message)
    if option:
        return _unknown_option(option[1].removeprefix("--"), parser)
    place, owner = _place(message)
    if not place:
        found = _REQUIRED.search(message)
        key = found[1].rpartition(".")[2] if found else ""
        return f"{key}: nothing is given; write `{key}: {{class_path: ...}}` in the config" if key else message
    found = _OPTION.search(message)
    if found:
        return _unknown_argument(place, owner, found[1])
    found = _NO_CLASS.search(message)
    if place in _SWITCHES:
        given = found or _GIVEN.search(message)
        what = f"{given[1]} is not allowed; " if given else ""
        return f"{place}: {what}write its options ({{}} for the defaults), or null to switch it off"
    if found:
        return f"{place}.class_path: {_unknown_class(place, found[1])}"
    found = _WRONG_CLASS.search(message)
    if found:
        return f"{place}.class_path: {found[1]!r} is no {found[2]}; {_classes(place)}"
    found = _REQUIRED.search(message)
    if found:
        names = found[1].strip().split(", ")
        return f"{_inside(place, owner)}.{names[0]}: is required by {owner}; write `{names[0]}: ...`"
    found = _CANNOT_IMPORT.search(message)
    if found and owner:
        close = nearest(owner.rpartition(".")[2], _public(owner.rpartition(".")[0]))
        hint = f"; did you mean {close!r}?" if close else ""
        return f"{place.removesuffix('.init_args')}.class_path: {owner!r} cannot be imported: {found[1]}{hint}"
    return f"{place}: {_wrong_value(message)}"


def _place(message: str) -> tuple[str, str | None]:
    """The place in the config, and the innermost class that is spoken of."""
    place, owner = "", None
    for key, class_path in _KEY.findall(message):
        if key:
            place = f"{_inside(place, owner)}.{key}" if place else key
            owner = None
        elif owner is None:
            owner = class_path
    return place, owner


def _inside(place: str, owner: str | None) -> str:
    """Where the arguments of a class stand: below ``init_args``, but for the short keys of callbacks."""
    return place if owner is None or owner.startswith("fulmen.callbacks.") else f"{place}.init_args"


def _unknown_option(key: str, parser: Any) -> str:
    subparsers = getattr(parser, "_subcommands_action", None)
    if subparsers is not None:
        parser = next(iter(subparsers._name_parser_map.values()))
    options = {o.removeprefix("--") for a in parser._actions for o in a.option_strings if o.startswith("--")}
    parent = key.rpartition(".")[0]
    siblings = {o for o in options if parent and o.startswith(f"{parent}.")}
    if not siblings:  # such as modle.class_path: the first part is wrong
        key = key.partition(".")[0]
        siblings = {o for o in options if "." not in o}
    close = nearest(key, siblings)
    hint = f"; did you mean {close!r}?" if close else "."
    few = len(siblings) < 25
    allowed = ", ".join(sorted(o for o in siblings if not o.endswith("+")))
    return f"{key}: there is no such key{hint} " + (
        f"Allowed: {allowed}" if few else "`lightning fit --help` lists all."
    )


def _unknown_argument(place: str, owner: str | None, name: str) -> str:
    name = name.partition(".")[0]
    if owner is None or owner == "lightning.LightningModule" or owner == "lightning.LightningDataModule":
        close = nearest(name, ("class_path", "init_args"))
        hint = f"; did you mean {close!r}?" if close else "."
        return f"{place}.{name}: there is no such key{hint} Write `class_path: Name` and `init_args: {{...}}`"
    where = _inside(place, owner)
    return f"{where}.{name}: {unknown('argument', name, argument_names(owner), of=owner)}"


def argument_names(class_path: str) -> list[str]:
    """The arguments of a class, those that ``**kwargs`` hands to its parents included."""
    from jsonargparse import ArgumentParser

    module, _, name = class_path.rpartition(".")
    names: list[str] = ArgumentParser().add_class_arguments(getattr(import_module(module), name), fail_untyped=False)
    return names


def _public(module: str) -> Iterable[str]:
    try:
        loaded = import_module(module)
    except ImportError:
        return []
    if module == "fulmen":
        return [name for room in _ROOMS.values() for name in import_module(room).__all__]
    return getattr(loaded, "__all__", None) or [n for n in dir(loaded) if not n.startswith("_")]


def _unknown_class(place: str, name: str) -> str:
    room = _ROOMS.get(place)
    if room is None:
        return f"there is no class {name!r}; write its full path, package.module.{name}"
    return unknown("class", name, _public(room)) + ", or the full path of your own (my_file.MyClass)"


def _classes(place: str) -> str:
    return f"allowed: {', '.join(_public(_ROOMS[place]))}, or a subclass" if place in _ROOMS else "give a subclass"


def _wrong_value(message: str) -> str:
    innermost = _innermost(message)
    given = next((value for _, value in _EXPECTED.findall(innermost) if value), None)
    given = given or next(iter(_GIVEN.findall(innermost)), None)
    if "Not a valid subclass of" in innermost:
        return f"{given} is not allowed; write {{class_path: Name, init_args: {{...}}}}"
    expected = [kind.replace("typing.", "") for kind, _ in _EXPECTED.findall(innermost)]
    if not expected or given is None:
        return innermost
    choices = [c for e in expected for m in _LITERAL.findall(e) for c in re.findall(r"'([^']+)'", m)]
    close = nearest(given, choices)
    named = [", ".join(map(repr, choices)) if "Literal" in e else _TYPES.get(e, e) for e in expected]
    hint = f"; did you mean {close!r}?" if close else "."
    return f"{given!r} is not allowed{hint} Allowed: {' or '.join(dict.fromkeys(named))}"


def _innermost(message: str) -> str:
    """The lines that belong to the last key that is named: those that are indented more than its own."""
    lines = message.splitlines()
    start = max(i for i, line in enumerate(lines) if "Parser key" in line)
    indent = len(lines[start]) - len(lines[start].lstrip(" -"))
    inner = []
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip(" ")) <= indent and line.strip():
            break
        inner.append(line.strip())
    return "\n".join(line for line in inner if line)


def first_cause(error: BaseException) -> BaseException:
    """What was raised first: jsonargparse wraps errors of constructors in reports of all the types it tried."""
    while error.__cause__ is not None or error.__context__ is not None:
        if isinstance(error, FulmenError):
            break
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
