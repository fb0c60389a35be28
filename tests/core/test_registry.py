import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core import registry as registry_module
from fulmen.core.errors import PluginError, SpecError, unknown
from fulmen.core.registry import BASES, KINDS, KNOWN_PLUGINS, OWN, Component, Registry, canonical, registry

RELU = Component("activations", "relu", "torch.nn:ReLU", OWN, "0.1.0")
GELU = Component("activations", "gelu", "torch.nn:GELU", OWN, "0.1.0")
ROCKET = Component("activations", "rocket", "acme_fulmen:Rocket", "acme-fulmen", "1.0")
RIVAL = Component("activations", "rocket", "rival:Rocket", "Rival_Fulmen", "2.1")
SHADOW = Component("activations", "relu", "rival:Relu", "Rival_Fulmen", "2.1")
MSE = Component("losses", "mse", "torch.nn:MSELoss", OWN, "0.1.0")
EVERYTHING = [RELU, GELU, ROCKET, RIVAL, SHADOW, MSE]


def make(
    *components: Component,
    requirements: Mapping[str, Sequence[str]] | None = None,
    own_version: str = "0.1.0",
    **environ: str,
) -> Registry:
    return Registry(components, requirements or {}, environ, own_version)


# Names


def test_names_of_a_kind_are_sorted_and_each_there_once() -> None:
    found = make(RELU, ROCKET, MSE, GELU, RIVAL)
    assert found.names("activations") == ["gelu", "relu", "rocket"]
    assert found.names("losses") == ["mse"]
    assert found.names("metrics") == []


def test_components_are_those_of_the_kind() -> None:
    found = make(*EVERYTHING)
    assert found.components("losses") == [MSE]
    assert len(found.components()) == len(EVERYTHING)


def test_unknown_name_says_what_is_nearest_and_what_is_allowed() -> None:
    with pytest.raises(SpecError) as raised:
        make(RELU, GELU, ROCKET, MSE).find("activations", "rokcet")
    assert str(raised.value) == unknown("activation", "rokcet", ["rocket", "relu", "gelu"])


def test_name_of_another_kind_is_unknown() -> None:
    with pytest.raises(SpecError, match=r"unknown activation 'mse'.*Allowed: relu$"):
        make(RELU, MSE).find("activations", "mse")


def test_known_plugin_that_is_absent_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"fulmen-activations": {"activations": "snake sinlu", "losses": "other"}}
    monkeypatch.setattr(registry_module, "KNOWN_PLUGINS", known)
    with pytest.raises(SpecError, match=r"'snake' is in a plugin .*: pip install fulmen-activations$"):
        make(RELU).find("activations", "snake")
    with pytest.raises(SpecError, match=r"^unknown activation 'other'"):
        make(RELU).find("activations", "other")


@pytest.mark.parametrize("name", ["fulmen-activations:snake", "fulmen_activations:anything", "acme-fulmen:rocket"])
def test_distribution_that_is_absent_is_to_be_installed(name: str) -> None:
    distribution = name.partition(":")[0]
    with pytest.raises(SpecError, match=rf"is in a plugin that is not installed: pip install {distribution}$"):
        make(RELU).find("activations", name)
    with pytest.raises(SpecError, match=r"^unknown activation 'acme-fulmen:rokcet'"):
        make(RELU, ROCKET).find("activations", "acme-fulmen:rokcet")


# The same name twice


@given(st.permutations(EVERYTHING))
def test_collision_names_both_whatever_the_order(components: list[Component]) -> None:
    with pytest.raises(PluginError) as raised:
        make(*components).find("activations", "rocket")
    assert str(raised.value) == (
        "activation 'rocket' is provided by Rival_Fulmen 2.1 and acme-fulmen 1.0; "
        "write 'Rival_Fulmen:rocket' or 'acme-fulmen:rocket' to pick one"
    )


@given(st.permutations(EVERYTHING))
def test_listing_does_not_depend_on_the_order(components: list[Component]) -> None:
    assert make(*components).components() == make(*EVERYTHING).components()


@given(st.permutations(EVERYTHING))
def test_builtin_is_never_shadowed_silently(components: list[Component]) -> None:
    with pytest.raises(PluginError, match=r"fulmen 0\.1\.0.*'fulmen:relu'"):
        make(*components).find("activations", "relu")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme-fulmen:rocket", ROCKET),
        ("Acme_Fulmen:rocket", ROCKET),
        ("acme.fulmen:rocket", ROCKET),
        ("rival-fulmen:rocket", RIVAL),
        ("Rival_Fulmen:rocket", RIVAL),
        ("fulmen:relu", RELU),
        ("rival-fulmen:relu", SHADOW),
    ],
)
def test_qualified_name_picks_one(name: str, expected: Component) -> None:
    assert make(*EVERYTHING).find("activations", name) == expected


def test_spellings_that_a_collision_shows_work() -> None:
    found = make(*EVERYTHING)
    for component in EVERYTHING:
        assert found.find(component.kind, component.qualified) == component


def test_qualified_name_of_a_distribution_without_it_is_unknown() -> None:
    with pytest.raises(SpecError, match="unknown activation 'rival-fulmen:gelu'"):
        make(*EVERYTHING).find("activations", "rival-fulmen:gelu")


@given(st.text(alphabet="ab-_.AB", min_size=1))
def test_canonical_is_stable_and_blind_to_case_and_separators(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)
    assert canonical(name.upper().replace("-", "_")) == canonical(name.lower().replace("_", "."))


# What may load


def test_plugins_all_is_the_default() -> None:
    for environ in ({}, {"FULMEN_PLUGINS": "all"}, {"FULMEN_PLUGINS": ""}):
        assert make(RELU, ROCKET, **environ).find("activations", "rocket") == ROCKET


def test_plugins_none_leaves_the_builtins() -> None:
    found = make(*EVERYTHING, FULMEN_PLUGINS="none")
    assert found.names("activations") == ["gelu", "relu"]
    assert found.find("activations", "relu") == RELU
    with pytest.raises(
        PluginError, match=r"'rocket' cannot be used: .*acme-fulmen 1\.0 is denied by FULMEN_PLUGINS=none"
    ):
        found.find("activations", "rocket")


@pytest.mark.parametrize("allowed", ["acme-fulmen", "Acme_Fulmen", " acme-fulmen , "])
def test_plugins_list_admits_those_alone(allowed: str) -> None:
    found = make(*EVERYTHING, FULMEN_PLUGINS=allowed)
    assert found.find("activations", "rocket") == ROCKET
    assert found.find("activations", "relu") == RELU
    with pytest.raises(PluginError, match=r"Rival_Fulmen 2\.1 is denied by FULMEN_PLUGINS="):
        found.find("activations", "rival-fulmen:rocket")


def test_denied_plugin_collides_with_nothing_and_says_who_denied_it() -> None:
    found = make(*EVERYTHING, FULMEN_PLUGINS_DENY="rival_fulmen")
    assert found.find("activations", "rocket") == ROCKET
    assert found.find("activations", "relu") == RELU
    assert found.problem(RIVAL) == "Rival_Fulmen 2.1 is denied by FULMEN_PLUGINS_DENY=rival_fulmen"
    assert RIVAL in found.components()


def test_deny_outweighs_allow() -> None:
    found = make(*EVERYTHING, FULMEN_PLUGINS="acme-fulmen,rival-fulmen", FULMEN_PLUGINS_DENY="acme-fulmen")
    assert found.find("activations", "rocket") == RIVAL


@pytest.mark.parametrize("variable", ["FULMEN_PLUGINS", "FULMEN_PLUGINS_DENY"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("acme-fulme", unknown("plugin", "acme-fulme", ["acme-fulmen", "rival-fulmen"])),
        ("acme-fulmen,xyz", unknown("plugin", "xyz", ["acme-fulmen", "rival-fulmen"])),
        ("fulmen", unknown("plugin", "fulmen", ["acme-fulmen", "rival-fulmen"])),
    ],
)
def test_variable_that_matches_nothing_is_an_error(variable: str, value: str, message: str) -> None:
    with pytest.raises(PluginError) as raised:
        make(*EVERYTHING, **{variable: value})
    assert str(raised.value) == f"{variable}: {message}"


def test_denied_plugin_is_not_reached_by_a_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install lists no modules: its entry points are the only sign of what it owns."""
    (tmp_path / "acme_editable.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    rocket = Component("activations", "rocket", "acme_editable:Rocket", "acme-fulmen", "1.0")
    found = make(rocket, FULMEN_PLUGINS_DENY="acme-fulmen")
    with pytest.raises(PluginError, match=r"acme-fulmen 1\.0 is denied"):
        found.find("activations", "acme_editable.Rocket")


# Made for another fulmen


@pytest.fixture
def explosive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    """A plugin whose module cannot be imported without anyone noticing."""
    (tmp_path / "explosive_module.py").write_text("raise RuntimeError('the fuse was lit')")
    monkeypatch.syspath_prepend(tmp_path)
    return Component("activations", "boom", "explosive_module:Boom", "explosive", "0.3")


@pytest.mark.parametrize(
    "requirement", ["fulmen>=999", "fulmen<0.1", "Fulmen==0.2.*", "fulmen>=999; python_version >= '3'"]
)
def test_incompatible_plugin_is_refused_before_it_is_imported(explosive: Component, requirement: str) -> None:
    found = make(explosive, RELU, requirements={"explosive": ["numpy", requirement]})
    with pytest.raises(PluginError) as raised:
        found.find("activations", "boom")
    message = str(raised.value)
    assert "explosive 0.3 requires fulmen" in message
    assert "fulmen 0.1.0 is installed" in message
    assert "pip install -U explosive fulmen" in message
    assert "explosive_module" not in sys.modules
    assert found.names("activations") == ["relu"]


@pytest.mark.parametrize(
    "requirement",
    [
        "fulmen",
        "fulmen>=0.1,<1",
        "fulmen>=999; python_version < '3'",
        "fulmen>=999; extra == 'docs'",
        "fulmen-other>=999",
    ],
)
def test_compatible_plugin_is_found(requirement: str) -> None:
    found = make(ROCKET, requirements={"acme-fulmen": [requirement]})
    assert found.find("activations", "rocket") == ROCKET


def test_development_version_of_fulmen_is_admitted_by_its_range() -> None:
    found = make(ROCKET, requirements={"acme-fulmen": ["fulmen>=0.1"]}, own_version="0.2.dev3+g12ab")
    assert found.find("activations", "rocket") == ROCKET


def test_unreadable_requirement_is_said() -> None:
    found = make(ROCKET, requirements={"acme-fulmen": ["fulmen >>> 3"]})
    with pytest.raises(PluginError, match=r"acme-fulmen 1\.0 has an unreadable requirement 'fulmen >>> 3'"):
        found.find("activations", "rocket")


# Importing


def test_broken_plugin_is_named_with_version_and_cause(explosive: Component) -> None:
    found = make(explosive).find("activations", "boom")
    with pytest.raises(PluginError) as raised:
        found.load()
    message = str(raised.value)
    assert "activation 'boom' of explosive 0.3 cannot be imported from 'explosive_module:Boom'" in message
    assert "RuntimeError: the fuse was lit" in message
    assert "FULMEN_PLUGINS_DENY=explosive" in message
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize("value", ["torch.nn:Nothing", "torch.nn", "there_is_no_such_module:X"])
def test_entry_point_that_leads_nowhere_is_named(value: str) -> None:
    with pytest.raises(PluginError, match=r"of acme-fulmen 1\.0 cannot be imported"):
        Component("activations", "rocket", value, "acme-fulmen", "1.0").load()


# Dotted paths


def test_dotted_path_is_imported_as_it_stands() -> None:
    from torch import nn

    found = make(RELU).find("activations", "torch.nn.GELU")
    assert found.load() is nn.GELU
    assert found.distribution == "torch"


def test_dotted_path_into_an_editable_install_has_its_distribution() -> None:
    found = registry().find("losses", "fulmen.nn.losses.Focal")
    assert (found.distribution, found.version) == (OWN, version(OWN))


def test_dotted_path_of_a_local_file_has_no_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local_file.py").write_text("from torch import nn\nclass Mine(nn.Module): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = make(RELU).find("activations", "local_file.Mine")
    assert (found.distribution, found.version) == (None, None)
    assert found.load().__name__ == "Mine"


@pytest.mark.parametrize("path", ["os.system", "builtins.eval", "builtins.dict", "pathlib.Path"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if BASES[kind] != "builtins:object"])
def test_dotted_path_of_anything_else_is_refused(kind: str, path: str) -> None:
    component = make().find(kind, path)
    with pytest.raises(
        SpecError, match=f"{KINDS[kind]} '{path}' must be a subclass of {BASES[kind].replace(':', '.')}"
    ):
        component.load()


@pytest.mark.parametrize("kind", KINDS)
def test_dotted_path_of_a_function_is_refused(kind: str) -> None:
    component = make().find(kind, "os.system")
    with pytest.raises(SpecError, match="must be a subclass"):
        component.load()


@pytest.mark.parametrize("path", ["there_is_no_such.Thing", "torch.nn.Nothing", "torch..nn", ".torch", "torch."])
def test_dotted_path_that_leads_nowhere_is_said(path: str) -> None:
    with pytest.raises(SpecError, match=f"'{path}' cannot be imported"):
        make().find("activations", path).load()


# The registry of this environment


def test_every_builtin_is_listed() -> None:
    declared = {
        (kind, e.name) for kind in KINDS for e in entry_points(group=f"fulmen.{kind}") if e.dist and e.dist.name == OWN
    }
    listed = {(c.kind, c.name) for c in registry().components() if c.distribution == OWN}
    assert listed == declared
    assert {("activations", "relu"), ("regularizers", "l1"), ("optimizers", "adam")} <= listed
    assert registry() is registry()


@pytest.mark.parametrize(
    "component", [c for c in registry().components() if c.distribution == OWN], ids=lambda c: f"{c.kind}-{c.name}"
)
def test_every_builtin_loads(component: Component) -> None:
    target = component.load()
    assert callable(target)
    assert BASES[component.kind]


def test_bases_are_declared_for_every_kind() -> None:
    assert BASES.keys() == KINDS.keys()


# What finding does not import

LIGHT = """
import sys
{code}
heavy = {{"torch", "lightning", "timm", "sklearn", "jsonargparse", "torchmetrics", "torchvision"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("import fulmen; print(fulmen.__version__)", "0."),
        ("from fulmen.core.registry import registry; print(len(registry().components()) > 50)", "True"),
        ("import fulmen.core.spec, fulmen.core.provenance, fulmen.core.batch; print('here')", "here"),
        ("from fulmen.cli.main import main; assert main(['--help']) == 0", "commands:"),
        ("from fulmen.cli.main import main; assert main(['--version']) == 0", "(fulmen) 0."),
        ("from fulmen.cli.main import main; assert main(['plugins', 'list']) == 0", "leaky_relu"),
    ],
)
def test_nothing_heavy_is_imported(code: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT.format(code=code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_known_plugins_are_those_of_this_repository() -> None:
    declared = {}
    for file in sorted((Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text())["project"]
        groups = project["entry-points"]
        declared[project["name"]] = {
            group.removeprefix("fulmen."): " ".join(sorted(names)) for group, names in groups.items()
        }
    assert len(declared) == 4
    assert declared == KNOWN_PLUGINS
