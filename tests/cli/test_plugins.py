"""`lightning plugins`: list, info and doctor, with packages that people could have installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.conftest import Cli
from tests.third_party.conftest import Package

from fulmen.cli.plugins import ACTIONS
from fulmen.cli.plugins.kinds import KEYS, LISTS
from fulmen.cli.plugins.options import EXTRA_TEXTS, descriptions, options, placeholder, type_name
from fulmen.core.registry import KINDS, OWN, registry
from fulmen.core.spec import EXTRA, Pluggable, arguments, resolve

Install = Callable[..., Package]

BUMP = '''
"""Bumps."""

from torch import nn


class Bump(nn.ReLU):
    """A bump of some width.

    Args:
        width: How wide it is,
            in units of x.
        kind: Which one.
    """

    def __init__(self, width: float, kind: str = "round") -> None:
        super().__init__()


class Untold(nn.ReLU):
    def __init__(self, width=1.0):
        super().__init__()


class Alien:
    """Not from here."""


number = 3
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with the module above, for one test."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    registry.cache_clear()

    def make(name: str, entries: dict[str, str], kind: str = "activations", **more: object) -> Package:
        code = str(more.pop("code", BUMP))
        values = {key: f"{name.replace('-', '_')}:{value}" for key, value in entries.items()}
        package = Package(name, code, {f"fulmen.{kind}": values}, **more)  # type: ignore[arg-type]
        package.install(site)
        monkeypatch.delitem(sys.modules, package.module, raising=False)
        registry.cache_clear()
        return package

    yield make
    registry.cache_clear()


# The command


def test_help_names_the_actions_and_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['lightning']; from fulmen.cli.main import main; main(['plugins', '--help']); "
        "assert not {'torch', 'yaml', 'jsonargparse'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name, action in ACTIONS.items():
        assert f"  {name} " in done.stdout
        assert action.summary in done.stdout


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_a_help(cli: Cli, action: str) -> None:
    result = cli("plugins", action, "--help")
    assert result.code == 0
    assert f"usage: lightning plugins {action}" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "lightning plugins needs an action: list, info, doctor, new, schema"),
        (["lst"], "unknown action 'lst'; did you mean 'list'?"),
        (["list", "--kind", "activashun"], "--kind: unknown kind 'activashun'; did you mean 'activations'?"),
        (["info", "rleu"], "unknown component 'rleu'; did you mean 'relu'?"),
        (["info", "rleu", "--kind", "activation"], "unknown activation 'rleu'; did you mean 'relu'? Allowed: "),
        (["info", "nobody:relu"], "activation 'nobody:relu' is in a plugin that is not installed: pip install nobody"),
        (["info", "no_such_module.Bump"], "'no_such_module.Bump' cannot be imported: ModuleNotFoundError"),
        (["info", "json.JSONDecoder"], "'json.JSONDecoder' is no class that can be plugged in"),
        (["info", "torch.nn.ReLU", "--kind", "metric"], "must be a subclass of torchmetrics.Metric"),
    ],
)
def test_mistakes_end_with_a_message(cli: Cli, arguments: list[str], message: str) -> None:
    result = cli("plugins", *arguments)
    assert result.code == 2
    assert message in result.error


# list


def test_list_has_a_line_for_every_component(cli: Cli) -> None:
    head, *lines = cli("plugins", "list").out.splitlines()
    assert head.split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION", "SUMMARY"]
    components = registry().components()
    assert [tuple(line.split()[:4]) for line in lines] == [
        (c.kind, c.name, c.distribution, c.version) for c in components
    ]
    assert all(len(line.split()) > 4 for line in lines if f" {OWN} " in line)


def test_list_of_one_kind(cli: Cli) -> None:
    lines = cli("plugins", "list", "--kind", "loss").out.splitlines()[1:]
    assert {line.split()[0] for line in lines} == {"losses"}


def test_list_as_json(cli: Cli, install: Install) -> None:
    install("acme-json", {"relu": "Bump"})
    found = json.loads(cli("plugins", "list", "--json", "--kind", "activations").out)
    (ours, theirs) = [row for row in found if row["name"] == "relu"]
    assert theirs == {
        "kind": "activations",
        "name": "relu",
        "distribution": "fulmen",
        "version": registry().find("activations", "fulmen:relu").version,
        "summary": "max(0, x)",
        "value": "torch.nn:ReLU",
        "problem": "also provided by another distribution: write 'fulmen:relu'",
        "qualified": "fulmen:relu",
    }
    assert (ours["summary"], ours["qualified"]) == ("A bump of some width.", "acme-json:relu")
    assert next(row for row in found if row["name"] == "gelu")["problem"] is None


def test_list_shows_the_summary_and_the_problem(cli: Cli, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-told", {"bump": "Bump"})
    monkeypatch.setenv("FULMEN_PLUGINS", "none")
    (line,) = [line for line in cli("plugins", "list").out.splitlines() if "acme-told" in line]
    assert line.endswith("A bump of some width. [acme-told 1.0 is denied by FULMEN_PLUGINS=none]")


def test_list_imports_no_plugin(cli: Cli, install: Install) -> None:
    install("acme-bomb", {"boom": "Boom"}, code='raise SystemExit("imported")\n\nclass Boom:\n    """Quiet."""\n')
    (line,) = [line for line in cli("plugins", "list").out.splitlines() if "acme-bomb" in line]
    assert line.endswith("Quiet.")
    assert "acme_bomb" not in sys.modules


# info


def test_info_tells_all(cli: Cli, install: Install) -> None:
    package = install("acme-info", {"bump": "Bump"}, version="1.2")
    result = cli("plugins", "info", "bump")
    text = result.out
    assert result.code == 0, result.err
    assert text.startswith("activation bump\n  of       acme-info 1.2\n  is       acme_info:Bump\n")
    line = BUMP.splitlines().index("class Bump(nn.ReLU):") + 1
    assert f"{package.module}.py:{line}" in text
    assert "A bump of some width." in text
    rows = [line.split() for line in text.splitlines()]
    assert ["width", "float", "required", "How", "wide", "it", "is,", "in", "units", "of", "x."] in rows
    assert ["kind", "str", "'round'", "Which", "one."] in rows
    assert "activation: {name: bump, width: 0.1}\n  (width: required; the value shown is a placeholder)" in text


def test_info_of_a_name_that_two_kinds_have(cli: Cli) -> None:
    text = cli("plugins", "info", "mae").out
    assert "loss mae\n" in text
    assert "metric mae\n" in text
    assert "metric mae\n" not in cli("plugins", "info", "mae", "--kind", "loss").out


def test_info_shows_what_fulmen_reads_and_not_what_it_fills_in(cli: Cli) -> None:
    text = cli("plugins", "info", "sgd").out
    assert "decay_bias_and_norm  bool" in text
    assert "\n  params " not in text
    text = cli("plugins", "info", "accuracy").out
    assert "\n  log_as " in text
    assert "\n  num_classes " not in text


def test_info_names_the_documentation(cli: Cli) -> None:
    assert "  docs     https://" in cli("plugins", "info", "gelu").out  # torch's


def test_info_of_a_qualified_name_and_of_a_dotted_path(cli: Cli, install: Install) -> None:
    install("acme-path", {"relu": "Bump"})
    assert "provided by acme-path 1.0 and fulmen" in cli("plugins", "info", "relu").error
    assert cli("plugins", "info", "acme-path:relu").out.startswith("activation relu\n  of       acme-path 1.0")
    text = cli("plugins", "info", "acme_path.Bump").out
    assert "activation acme_path.Bump\n" in text
    assert "loss acme_path.Bump\n" in text  # a module may be either
    assert "optimizer" not in text


def test_info_of_a_broken_plugin_names_the_cause(cli: Cli, install: Install) -> None:
    install("acme-broken", {"fizzle": "Fizzle"}, code="raise OSError('no such library')\n")
    result = cli("plugins", "info", "fizzle")
    assert result.code == 2
    assert "OSError: no such library" in result.error


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_of_a_config_that_info_shows_is_valid(cli: Cli, kind: str) -> None:
    for component in registry().components(kind):
        lines = cli("plugins", "info", component.qualified, "--kind", kind).out.splitlines()
        ((key, given),) = yaml.safe_load(lines[lines.index("in a config") + 1]).items()
        assert key == KEYS[kind]
        (spec,) = given if kind in LISTS else [given]
        assert resolve(kind, {"name": spec} if isinstance(spec, str) else spec)[0] == component


def test_keys_are_those_of_the_modules() -> None:
    from fulmen import SupervisedModule
    from fulmen.modules import MLPModule

    marks = {**arguments(SupervisedModule), **arguments(MLPModule)}
    for name, mark in marks.items():
        assert (KEYS[mark.kind], mark.kind in LISTS) == (name, mark.many)
    assert isinstance(marks["activation"], Pluggable)


def test_every_extra_option_is_described() -> None:
    assert {name for extra in EXTRA.values() for name in extra} == set(EXTRA_TEXTS)


def test_texts_come_from_parents_and_constructors() -> None:
    class Parent:
        """Says.

        Args:
            far: From the parent.
            both: From the parent.
        """

    class Child(Parent):
        """Says.

        Arguments:
            both (int, optional): See :attr:`far`.
        """

        def __init__(self, far: int, both: int, near: int) -> None:
            """Makes one.

            Args:
                near: From the constructor.
            """

    assert descriptions(Child) == {"both": "See `far`.", "near": "From the constructor.", "far": "From the parent."}
    assert [(o.name, o.required) for o in options("losses", Child)] == [("far", True), ("both", True), ("near", True)]


@pytest.mark.parametrize(
    ("hint", "name", "value"),
    [
        (int, "int", 1),
        (float | None, "float | None", 0.1),
        (tuple[float, float], "tuple[float, float]", [0.1, 0.1]),
        (tuple[int, ...], "tuple[int, ...]", [1]),
        (dict[str, int], "dict[str, int]", {}),
        (None, "None", "text"),
    ],
)
def test_types_and_placeholders(hint: object, name: str, value: object) -> None:
    assert (type_name(hint), placeholder(hint)) == (name, value)


def test_info_says_which_plugin_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulmen.cli.plugins.info.KNOWN_PLUGINS", {"fulmen-house": {"losses": "far near"}})
    monkeypatch.setattr("fulmen.core.registry.KNOWN_PLUGINS", {"fulmen-house": {"losses": "far near"}})
    assert cli("plugins", "info", "near").error == (
        "loss 'near' is in a plugin that is not installed: pip install fulmen-house"
    )
    assert cli("plugins", "info", "nea").error.startswith("unknown component 'nea'")


# doctor


def test_doctor_finds_nothing_wrong(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULMEN_PLUGINS", "all")
    monkeypatch.setattr("fulmen.cli.plugins.doctor._advice", lambda *_: iter(()))  # other rooms' plugins may get some
    result = cli("plugins", "doctor")
    number = len(registry().components())
    distributions = len({c.distribution for c in registry().components()})
    assert result.out == f"{number} components of {distributions} distributions: nothing is wrong\n", result.out
    assert result.code == 0


@pytest.mark.parametrize(
    ("entries", "more", "level", "parts"),
    [
        ({"gone": "Gone"}, {}, "errors", ["'gone' of acme-ill 1.0 cannot be imported", "no attribute 'Gone'"]),
        ({"a": "Bump"}, {"code": "import nix_da"}, "errors", ["No module named 'nix_da'", "pip uninstall acme-ill"]),
        ({"a": "Bump"}, {"requires": ["fulmen>=999"]}, "errors", ["requires fulmen>=999", "pip install -U acme-ill"]),
        ({"a": "Alien"}, {}, "errors", ["which is no torch.nn.Module", "make it a subclass"]),
        (
            {"a": "number"},
            {},
            "errors",
            ["no class or function: 'acme_ill:number' is 3", "entry point must name a class"],
        ),
        ({"a": "Bump"}, {"kind": "activation"}, "errors", ["'fulmen.activation'", "rename it to fulmen.activations"]),
        ({"relu": "Bump"}, {}, "warnings", ["'acme-ill:relu' or 'fulmen:relu'", "FULMEN_PLUGINS_DENY=acme-ill"]),
        ({"a": "Untold"}, {}, "advice", ["options without a type: width", "options without a description: width"]),
    ],
)
def test_doctor_finds(
    cli: Cli, install: Install, entries: dict[str, str], more: dict[str, object], level: str, parts: list[str]
) -> None:
    install("acme-ill", entries, **more)
    result = cli("plugins", "doctor")
    sections = {part.partition("\n")[0]: part for part in result.out.split("\n\n")}
    for part in parts:
        assert part in sections[level], result.out
    errors = sections.get("errors", "").count(" -> ")
    assert errors == (level == "errors")
    assert result.code == (2 if errors else 0)
    if errors:
        assert result.error.startswith("1 error")
    else:
        assert result.out.splitlines()[-1][0].isdigit()


def test_doctor_does_not_import_what_is_denied(cli: Cli, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-denied", {"bump": "Bump"}, code="raise SystemExit('imported')\n")
    monkeypatch.setenv("FULMEN_PLUGINS_DENY", "acme-denied")
    result = cli("plugins", "doctor")
    assert result.code == 0
    assert "activation 'bump' of acme-denied 1.0 may not load" in result.out
    assert "unset 'FULMEN_PLUGINS_DENY=acme-denied'" in result.out


def test_doctor_finds_a_variable_that_names_nothing(
    cli: Cli, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-named", {"bump": "Bump"})
    monkeypatch.setenv("FULMEN_PLUGINS_DENY", "acme-namd")
    result = cli("plugins", "doctor")
    assert result.code == 2
    assert "FULMEN_PLUGINS_DENY: unknown plugin 'acme-namd'; did you mean 'acme-named'?" in result.out
    assert "correct the environment variable FULMEN_PLUGINS_DENY, or unset it" in result.out


def test_doctor_says_who_owns_lightning(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lightning").write_text("from lightning_sdk.cli.entrypoint import main_cli\n")
    monkeypatch.setattr("fulmen.cli.plugins.doctor.sysconfig.get_path", lambda name: str(tmp_path))
    result = cli("plugins", "doctor")
    assert result.code == 0
    assert "the command `lightning` belongs to another program\n    -> type `fulmen`" in result.out
