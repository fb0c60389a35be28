"""Checkpoints that are made from Python."""

import copy
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from fulmen.core import provenance
from fulmen.core.errors import CheckpointError, PluginError
from fulmen.core.version import __version__
from fulmen.data import ArrayData, SupervisedDataModule
from fulmen.modules import CNNModule, MLPModule, NetworkModule, SupervisedModule, TransferModule
from fulmen.modules.saving import class_path, module_component
from fulmen.nn.losses import Focal


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.delenv(provenance.OVERRIDE, raising=False)
    torch.manual_seed(0)


def facts(data: SupervisedDataModule) -> dict[str, Any]:
    """What the command line links from data to model."""
    return {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}


def pictures(shape: tuple[int, ...] = (1, 8, 8)) -> ArrayData:
    return ArrayData(torch.rand(18, *shape), torch.arange(18) % 3, batch_size=6)


def saved(module: SupervisedModule, data: SupervisedDataModule, folder: Path) -> Path:
    """Trains for an epoch and saves."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=1, **quiet)  # type: ignore[arg-type]
    trainer.fit(module, data)
    trainer.save_checkpoint(folder / "model.ckpt")
    return folder / "model.ckpt"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def assert_same_predictions(a: SupervisedModule, b: SupervisedModule, shape: tuple[int, ...] = (1, 8, 8)) -> None:
    inputs = torch.rand(5, *shape)
    with torch.no_grad():
        assert torch.equal(a.eval()(inputs), b.eval()(inputs))


@pytest.fixture(scope="module")
def resnet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)
    return path


@pytest.mark.parametrize("kind", [MLPModule, CNNModule])
def test_modules_load_with_safe_loading(kind: type[SupervisedModule], tmp_path: Path) -> None:
    data = pictures()
    options: dict[str, Any] = {
        "regularizers": [{"name": "l1", "weight": 1e-4}],
        "schedule": {"name": "cosine", "warmup_epochs": 0.5},
        "metrics": ["accuracy", {"name": "f1", "average": "micro", "log_as": "micro"}],
        "loss": {"name": "cross_entropy", "class_weights": [1.0, 2.0, 3.0]},
    }
    module = kind(normalization="batch", **options, **facts(data))
    loaded = kind.load_from_checkpoint(saved(module, data, tmp_path))
    assert loaded.hparams == module.hparams
    assert_same_predictions(module, loaded)
    logits, targets = torch.randn(6, 3), torch.arange(6) % 3
    assert torch.equal(loaded.task.loss(logits, targets), module.task.loss(logits, targets))


def test_network_module_needs_its_network_again(tmp_path: Path) -> None:
    data = pictures()
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    fresh = copy.deepcopy(network)
    module = NetworkModule(network, **facts(data))
    path = saved(module, data, tmp_path)
    with pytest.raises(CheckpointError, match=r"NetworkModule\.load_from_checkpoint\(path, network=\.\.\.\)"):
        NetworkModule.load_from_checkpoint(path)
    assert_same_predictions(module, NetworkModule.load_from_checkpoint(path, network=fresh))


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*")  # frozen layers stay so
def test_transfer_module_loads_when_its_weights_file_is_gone(resnet_weights: Path, tmp_path: Path) -> None:
    weights = tmp_path / "resnet18.pth"
    weights.write_bytes(resnet_weights.read_bytes())
    data = pictures((3, 32, 32))
    module = TransferModule(backbone="resnet18", weights=str(weights), freeze="all", **facts(data))
    path = saved(module, data, tmp_path)
    weights.unlink()
    assert_same_predictions(module, TransferModule.load_from_checkpoint(path), (3, 32, 32))


def test_users_subclass_loads(tmp_path: Path) -> None:
    data = pictures()
    module = Flat(width=5, **facts(data))
    loaded = Flat.load_from_checkpoint(saved(module, data, tmp_path))
    assert loaded.hparams.width == 5
    assert_same_predictions(module, loaded)


class Flat(SupervisedModule):
    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, self.hparams.width), nn.Linear(self.hparams.width, 3))


# Objects and classes among the arguments


def test_objects_must_be_given_again(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(activation=nn.GELU(), loss=Focal(gamma=1.0), **facts(data))
    path = saved(module, data, tmp_path)
    assert "activation" not in module.hparams
    assert sorted(read(path)["fulmen"]["objects"]) == ["activation", "loss"]
    with pytest.raises(CheckpointError) as raised:
        MLPModule.load_from_checkpoint(path, activation=nn.GELU())
    assert "give them again" in str(raised.value)
    assert "loss=..." in str(raised.value)
    assert "activation=..." not in str(raised.value)
    loaded = MLPModule.load_from_checkpoint(path, activation=nn.GELU(), loss=Focal(gamma=1.0))
    assert_same_predictions(module, loaded)
    assert any(isinstance(m, nn.GELU) for m in loaded.network.modules())


def test_object_deep_inside_an_argument_is_an_object(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(metrics=["f1", MulticlassAccuracy(num_classes=3)], **facts(data))
    path = saved(module, data, tmp_path)
    with pytest.raises(CheckpointError, match=r"metrics=\.\.\."):
        MLPModule.load_from_checkpoint(path)


def test_classes_become_dotted_paths(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(activation=nn.GELU, **facts(data))
    assert module.hparams.activation == "torch.nn.modules.activation.GELU"
    loaded = MLPModule.load_from_checkpoint(saved(module, data, tmp_path))
    assert any(isinstance(m, nn.GELU) for m in loaded.network.modules())
    assert_same_predictions(module, loaded)


def test_hparams_are_primitives_only(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(hidden_features=(4, 3), activation=nn.GELU, loss=Focal(), **facts(data))
    checkpoint = read(saved(module, data, tmp_path))
    assert json.loads(json.dumps(checkpoint["hyper_parameters"])) == checkpoint["hyper_parameters"]
    assert checkpoint["hyper_parameters"]["hidden_features"] == [4, 3]
    assert json.loads(json.dumps(checkpoint["fulmen"])) == checkpoint["fulmen"]


def test_arguments_given_on_loading_replace_the_saved_ones(tmp_path: Path) -> None:
    data = pictures()
    path = saved(MLPModule(optimizer={"name": "sgd", "lr": 0.1}, **facts(data)), data, tmp_path)
    assert MLPModule.load_from_checkpoint(path, optimizer="adamw").hparams.optimizer == "adamw"


def test_trainer_tests_from_a_checkpoint(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(hidden_features=[4], **facts(data))
    path = saved(module, data, tmp_path)
    other = MLPModule(hidden_features=[4], **facts(data))
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **quiet)
    trainer.test(other, data, ckpt_path=path, verbose=False, weights_only=True)
    assert_same_predictions(module, other)


# What a model was made of


def test_components_record_names_distributions_and_versions(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(
        activation="torch.nn.Mish",
        optimizer="adamw",
        schedule="cosine",
        regularizers=[{"name": "l1", "weight": 0.1}],
        metrics=["f1"],
        **facts(data),
    )
    recorded = read(saved(module, data, tmp_path))["fulmen"]["components"]
    assert recorded == module.components
    found = {(c["kind"], c["name"]): (c["distribution"], c["version"]) for c in recorded}
    ours = ("fulmen", __version__)
    assert found == {
        ("activations", "torch.nn.Mish"): ("torch", version("torch")),
        ("losses", "cross_entropy"): ours,
        ("metrics", "f1"): ours,
        ("optimizers", "adamw"): ours,
        ("schedules", "cosine"): ours,
        ("regularizers", "l1"): ours,
    }
    assert read(tmp_path / "model.ckpt")["fulmen"]["class_path"] == "fulmen.modules.mlp.MLPModule"


def never_built(self: MLPModule) -> nn.Module:
    raise AssertionError("the model was built")


def test_missing_plugin_is_named_before_the_model_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures()
    path = saved(MLPModule(**facts(data)), data, tmp_path)
    checkpoint = read(path)
    plugin = {"kind": "activations", "name": "rocket", "distribution": "acme-fulmen", "version": "1.2"}
    checkpoint["fulmen"]["components"].append(plugin)
    torch.save(checkpoint, path)
    monkeypatch.setattr(MLPModule, "build_network", never_built)
    with pytest.raises(PluginError, match=r"activation 'rocket' of acme-fulmen 1\.2.*pip install 'acme-fulmen==1\.2'"):
        MLPModule.load_from_checkpoint(path)


def test_major_change_is_named_unless_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures()
    path = saved(MLPModule(**facts(data)), data, tmp_path)
    checkpoint = read(path)
    for component in checkpoint["fulmen"]["components"]:
        component["version"] = "999.0"
    torch.save(checkpoint, path)
    with pytest.raises(PluginError, match="a major change"):
        MLPModule.load_from_checkpoint(path)
    monkeypatch.setenv(provenance.OVERRIDE, "1")
    assert isinstance(MLPModule.load_from_checkpoint(path), MLPModule)


def test_own_modules_are_no_component_and_paths_are_where_they_are_defined() -> None:
    assert class_path(MLPModule) == "fulmen.modules.mlp.MLPModule"
    assert module_component(MLPModule) == []
    (found,) = module_component(nn.Linear)
    assert (found.kind, found.distribution) == ("modules", "torch")


def test_saved_weights_are_those_of_the_module(tmp_path: Path) -> None:
    data = pictures()
    module = MLPModule(**facts(data))
    state: dict[str, Tensor] = read(saved(module, data, tmp_path))["state_dict"]
    assert set(state) == set(module.state_dict())
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
