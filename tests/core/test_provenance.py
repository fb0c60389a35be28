from importlib.metadata import version
from typing import Any

import pytest
import torch

from fulmen.core.errors import PluginError
from fulmen.core.provenance import OVERRIDE, compare, records
from fulmen.core.registry import Component
from fulmen.core.spec import build, recording

TORCH = version("torch")


def record(distribution: str | None, made_with: str | None, kind: str = "activations") -> dict[str, Any]:
    return {"kind": kind, "name": "rocket", "distribution": distribution, "version": made_with}


def other_major() -> str:
    return f"{int(TORCH.split('.')[0]) + 1}.0"


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OVERRIDE, raising=False)


def test_records_each_component_once_in_the_order_of_use() -> None:
    rocket = Component("activations", "rocket", "acme:Rocket", "acme", "1.0")
    local = Component("losses", "my.Loss", "my:Loss", None, None)
    assert records([rocket, local, rocket]) == [
        record("acme", "1.0"),
        {**record(None, None, "losses"), "name": "my.Loss"},
    ]
    assert records([]) == []


def test_records_can_be_loaded_safely(tmp_path: Any) -> None:
    with recording() as used:
        build("activations", "relu")
    torch.save(records(used), tmp_path / "records.pt")
    loaded = torch.load(tmp_path / "records.pt", weights_only=True)
    assert loaded == [{"kind": "activations", "name": "relu", "distribution": "fulmen", "version": version("fulmen")}]


@pytest.mark.parametrize("saved", [[], [record(None, None)], [record("torch", TORCH)], [record("Torch", TORCH)]])
def test_what_is_still_here_passes(saved: list[dict[str, Any]]) -> None:
    compare(saved, "run.ckpt")


def test_other_minor_version_passes() -> None:
    compare([record("torch", f"{TORCH.split('.')[0]}.999.1")], "run.ckpt")


def test_missing_distribution_says_what_to_install() -> None:
    with pytest.raises(PluginError) as raised:
        compare([record("torch", TORCH), record("acme-fulmen", "1.4.2")], "runs/a/best.ckpt")
    assert str(raised.value) == (
        "runs/a/best.ckpt was made with activation 'rocket' of acme-fulmen 1.4.2, which is not installed: "
        "pip install 'acme-fulmen==1.4.2'"
    )


def test_missing_distribution_is_an_error_whatever_is_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "1")
    with pytest.raises(PluginError, match="which is not installed"):
        compare([record("acme-fulmen", "1.0")], "run.ckpt")


def test_major_change_is_an_error_unless_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = [record("torch", other_major())]
    with pytest.raises(PluginError) as raised:
        compare(saved, "run.ckpt")
    message = str(raised.value)
    assert f"torch {other_major()}, but {TORCH} is installed, a major change" in message
    assert f"pip install 'torch=={other_major()}'" in message
    assert "FULMEN_ALLOW_MAJOR_CHANGE=1" in message
    monkeypatch.setenv(OVERRIDE, "1")
    compare(saved, "run.ckpt")


def test_version_that_yaml_reads_as_a_number_is_compared() -> None:
    major = int(TORCH.split(".")[0])
    compare([{**record("torch", None), "version": float(major)}], "run.yaml")
    with pytest.raises(PluginError, match="a major change"):
        compare([{**record("torch", None), "version": float(major + 1)}], "run.yaml")


def test_kind_of_a_newer_fulmen_is_called_by_its_key() -> None:
    with pytest.raises(PluginError, match=r"made with samplers 'rocket' of acme-fulmen 1\.0"):
        compare([record("acme-fulmen", "1.0", kind="samplers")], "run.ckpt")


@pytest.mark.parametrize("saved", [[{"kind": "activations"}], ["relu"], "relu"])
def test_records_that_someone_edited_are_said_to_be_wrong(saved: Any) -> None:
    with pytest.raises(PluginError, match=r"^run\.yaml: .*is no record"):
        compare(saved, "run.yaml")
