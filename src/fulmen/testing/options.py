"""Checks of what every kind has in common: its name, its options, its documentation, its import."""

from __future__ import annotations

import gc
import inspect
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any, get_type_hints

import yaml
from docstring_parser import Docstring, DocstringStyle, ParseError, parse

from fulmen.core.errors import FulmenError
from fulmen.core.spec import SUPPLIED, build, resolve
from fulmen.testing.kit import CheckError, Subject, require
from fulmen.testing.state import changes, snapshot


def found_by_name(subject: Subject) -> None:
    """A config finds the component by what it calls it: an entry point's name, or the dotted path of a class."""
    if subject.group is None:
        module, _, name = subject.name.rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise CheckError(f"class_path {subject.name!r} does not lead to it: {error}; {_move()}") from error
    else:
        try:
            found = resolve(subject.group, subject.spec)[1]
        except FulmenError as error:
            raise CheckError(
                f"a config does not find it as {subject.name!r}: {error}\nDeclare it in pyproject.toml under "
                f'[project.entry-points."fulmen.{subject.group}"] and install the package again, or {_move()}'
            ) from error
    require(found is subject.target, f"{subject.name!r} leads to {found!r}, not to {subject.target!r}")


def _move() -> str:
    return "define it at the top of a module that can be imported"


def _owner(target: Any) -> Any:
    """The function whose parameters a component has: that which its signature shows."""
    if not isinstance(target, type):
        return target
    return target.__new__ if inspect.isfunction(target.__new__) else target.__init__  # type: ignore[misc]


def _own_options(subject: Subject) -> dict[str, inspect.Parameter]:
    """The parameters that a config may give, without those that Fulmen fills in and without ``**kwargs``."""
    supplied = SUPPLIED.get(subject.group or "", set())
    return {
        name: parameter
        for name, parameter in subject.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and name not in supplied
    }


def _docstring(target: Any) -> Docstring:
    """A docstring in Google's style, or in whichever style it is that describes arguments."""
    text = inspect.cleandoc(getattr(target, "__doc__", None) or "")
    for style in (DocstringStyle.GOOGLE, DocstringStyle.AUTO):
        with suppress(ParseError):  # of parents that are written in no style
            found = parse(text, style)
            if found.params or style is DocstringStyle.AUTO:
                return found
    return Docstring()


def _places(target: Any) -> list[Any]:
    """A function; or a class, its parents and the constructors of all."""
    if not isinstance(target, type):
        return [target]
    return [part for cls in target.__mro__[:-1] for part in (cls, vars(cls).get("__init__")) if part is not None]


def _parameters(place: Any) -> list[str]:
    try:
        return list(inspect.signature(place).parameters)
    except (ValueError, TypeError):  # of a class in C
        return []


def _documented(target: Any) -> dict[str, str]:
    """Argument -> its description, from all these places."""
    found: dict[str, str] = {}
    for place in _places(target):
        for param in _docstring(place).params:
            if param.args[0] == "param":
                found.setdefault(param.arg_name.lstrip("*"), (param.description or "").strip())
    return found


def options_documented(subject: Subject) -> None:
    """The docstring says in one line what it is, and describes each option under ``Args:``: it becomes ``--help``."""
    require(
        (_docstring(subject.target).short_description or "").strip(),
        "it has no docstring; its first line is what `lightning plugins list` shows",
    )
    documented, options = _documented(subject.target), _own_options(subject)
    missing = [name for name in options if not documented.get(name)]
    require(not missing, f"the docstring describes no {_quoted(missing)}; add it under `Args:` of the class")
    own = {p.arg_name.lstrip("*") for p in _docstring(subject.target).params if p.args[0] == "param"}
    stray = sorted(own - {name for place in _places(subject.target) for name in _parameters(place)})
    require(not stray, f"the docstring describes {_quoted(stray)}, which it does not take; correct `Args:`")


def options_annotated(subject: Subject) -> None:
    """Every option has a type that can be read at run time: configs and the command line check values by it."""
    options = _own_options(subject)
    bare = [name for name, parameter in options.items() if parameter.annotation is parameter.empty]
    require(not bare, f"{_quoted(bare)} has no annotation; write `{bare[0] if bare else ''}: float = ...`")
    try:
        get_type_hints(_owner(subject.target))
    except (NameError, TypeError) as error:
        raise CheckError(
            f"its annotations cannot be read at run time ({error}); import their names outside of TYPE_CHECKING"
        ) from error


def unknown_option_refused(subject: Subject) -> None:
    """A misspelt option is an error, not something that is silently ignored."""
    try:
        if subject.group is None:
            subject.target(**subject.supplied, **subject.options, no_such_option=1)
        else:
            build(subject.group, {**subject.spec, "no_such_option": 1}, **subject.supplied)
    except (FulmenError, TypeError, ValueError) as error:
        require("no_such_option" in str(error), f"an unknown option ends in another error: {error}")
        return
    raise CheckError("it takes the option `no_such_option` and ignores it; drop **kwargs, or check what is in it")


def yaml_round_trip(subject: Subject) -> None:
    """What a config says is what is made: the options survive YAML and fit the types that are annotated."""
    try:
        read = yaml.safe_load(yaml.safe_dump(subject.spec))
    except yaml.YAMLError as error:
        raise CheckError(f"the options cannot be written to YAML: {error}; take names, numbers and lists") from error
    require(read == subject.spec, f"the options change in YAML: {subject.spec} becomes {read}")
    options = {k: v for k, v in read.items() if k != "name"}
    try:
        made = _parsed(subject, options) if subject.group is None else _build_typed(subject, read)
    except FulmenError as error:
        raise CheckError(f"a config with {read} is refused: {error}") from error
    require(type(made) is type(subject.make()), f"a config makes a {type(made).__name__}")


def _build_typed(subject: Subject, spec: dict[str, Any]) -> Any:
    """Makes what a spec describes, and checks that its typed options equal those given."""
    typed = resolve(str(subject.group), spec)[2]
    for name, value in typed.items():
        same = list(value) == list(spec[name]) if isinstance(value, tuple) else value == spec[name]
        require(same, f"option {name!r} becomes {value!r} by its annotation, but is given as {spec[name]!r}")
    return build(str(subject.group), spec, **subject.supplied)


def _parsed(subject: Subject, options: dict[str, Any]) -> Any:
    """Makes a module or a data module as the command line does: from ``class_path`` and ``init_args``."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(subject.target, "part")
    try:
        values = parser.parse_object(
            {"part": {"class_path": subject.name, "init_args": {**subject.supplied, **options}}}
        )
        return subject.target(**values.part.init_args.as_dict())
    except (ArgumentError, ValueError, TypeError) as error:
        raise CheckError(f"the command line refuses {options}: {error}") from error


def import_changes_nothing(subject: Subject) -> None:
    """Importing it draws no random number and changes no setting: what a run gives must not hang on what it imports."""
    module = subject.target.__module__
    spec = find_spec(module)
    if spec is None or spec.loader is None:
        raise CheckError(f"its module {module!r} cannot be found; {_move()}")
    before = snapshot()
    spec.loader.exec_module(module_from_spec(spec))  # again, beside the one that is in use
    changed = changes(before)
    if subject.group is None:  # a class path is looked up among all classes that live: the copies must not
        gc.collect()
    require(not changed, f"importing {module} changes {', '.join(changed)}; move that into a function")


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
