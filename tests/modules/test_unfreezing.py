"""Gradual unfreezing: a function of the epoch, each stage at its rate, also when resumed, shared out and averaged."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy
from tests.modules.conftest import make_trainer
from timm.optim import param_groups_layer_decay

from fulmen.callbacks.ema import EMA
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import TransferModule
from fulmen.modules.layer_rates import layer_rates
from fulmen.modules.norm_sync import check_norm_sync
from fulmen.modules.optimizers import parameter_groups
from fulmen.modules.unfreezing import Step, Unfreezing, read_steps
from fulmen.networks import Transfer
from fulmen.networks.freezing import stages

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint"),
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*ended before the epoch ended"),
]

STAGES = ["stem", "layer1", "layer2", "layer3", "layer4"]
SCHEDULE = [{"epoch": 1, "stages": 1, "lr": 0.01}, {"epoch": 3, "stages": 3, "lr": 0.002}]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "test_resnet.pth"
    torch.save(timm.create_model("test_resnet", zero_init_last=False).state_dict(), path)
    return path


def make_data(batch_size: int = 4) -> ArrayData:
    torch.manual_seed(0)
    inputs, targets = torch.randn(16, 3, 32, 32), torch.arange(16) % 2
    return ArrayData(inputs, targets, batch_size=batch_size, val_fraction=0.25, test_fraction=0.0, standardize=False)


def make_module(weights: Path, **options: Any) -> TransferModule:
    torch.manual_seed(2)
    known = {"input_shape": [3, 32, 32], "num_outputs": 2, "backbone": "test_resnet", "weights": str(weights)}
    options = {"optimizer": {"name": "sgd", "lr": 0.1}, "unfreeze": SCHEDULE, **options}
    return TransferModule(**known, **options)


class Watch(Callback):
    """Which stages have changed after each epoch, weights or buffers, and which are said to be trained."""

    def __init__(self) -> None:
        self.moved: dict[int, set[str]] = {}
        self.trained: dict[int, set[str]] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module.network.model  # type: ignore[union-attr]
        owner = {name: stage.name for stage in stages(model) for name in stage.parameters}
        places = {name.rpartition(".")[0]: stage for name, stage in owner.items()}
        values = pl_module.state_dict()
        changed = {n.removeprefix("network.model.") for n in values if not torch.equal(values[n], self.before[n])}
        self.moved[trainer.current_epoch] = {places[n.rpartition(".")[0]] for n in changed}
        self.trained[trainer.current_epoch] = {owner[n] for n, p in model.named_parameters() if p.requires_grad}


def expected(epoch: int) -> set[str]:
    return {"fc", *(STAGES[-1:] if epoch >= 1 else []), *(STAGES[-3:] if epoch >= 3 else [])}


# The schedule by itself


def test_steps_of_a_list() -> None:
    given = [{"epoch": 3, "stages": 1, "lr": "3e-4"}, {"epoch": 5, "stages": "all"}]
    assert read_steps(given, available=5) == [Step(3, 1, 3e-4), Step(5, 5)]


@given(
    epoch=st.integers(1, 9), every=st.integers(1, 4), factor=st.floats(0.1, 1), available=st.integers(1, 9),
    training=st.integers(0, 8),
)  # fmt: skip
def test_pace_thaws_one_stage_at_a_time(epoch: int, every: int, factor: float, available: int, training: int) -> None:
    steps = read_steps({"epoch": epoch, "every": every, "lr_factor": factor}, available, training)
    assert [step.stages for step in steps] == list(range(training + 1, available + 1))
    assert [step.epoch for step in steps] == [epoch + i * every for i in range(len(steps))]
    assert [step.factor for step in steps] == pytest.approx([factor ** (i + 1) for i in range(len(steps))])
    assert all(step.lr is None for step in steps)


def test_frozen_is_a_function_of_the_epoch(weights: Path) -> None:
    module = make_module(weights)
    unfreezing = Unfreezing(module.network, SCHEDULE)
    by_stage = {stage.name: set(stage.parameters) for stage in stages(module.network.model)}
    for epoch in (4, 0, 2, 1, 3, 0):  # in any order
        frozen = set().union(*(by_stage[name] for name in STAGES if name not in expected(epoch)))
        assert unfreezing.frozen_at(epoch) == frozen


def test_what_is_trained_from_the_start_is_not_thawed(weights: Path) -> None:
    network = make_module(weights, freeze=3, unfreeze=None).network
    unfreezing = Unfreezing(network, {"epoch": 2, "every": 3})
    assert [(thaw.step.epoch, thaw.step.stages) for thaw in unfreezing.thaws] == [(2, 3), (5, 4), (8, 5)]
    assert all(name.startswith("layer2.") for name in unfreezing.thaws[0].names)


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (3, r"unfreeze: 3 is neither a list of steps, such as .* nor a pace"),
        ([], r"unfreeze: \[\] is neither"),
        ([3], r"unfreeze\[0\]: 3 is no mapping; allowed keys: epoch, lr, stages"),
        ([{"epoch": 1}], r"unfreeze\[0\]\.stages: is missing"),
        ([{"stages": 1}], r"unfreeze\[0\]\.epoch: is missing"),
        ([{"epoch": 1, "stage": 1}], r"unfreeze\[0\]: unknown key 'stage'; did you mean 'stages'\?"),
        ([{"epoch": 1, "stages": 6}], r"stages: 6 is out of range; allowed: 1 to 5, the stages before the head"),
        ([{"epoch": 1, "stages": 0}], r"stages: 0 is out of range"),
        ([{"epoch": 1, "stages": "layer4"}], r"stages: 'layer4' is out of range"),
        ([{"epoch": 1, "stages": True}], r"stages: True is out of range"),
        ([{"epoch": 0, "stages": 1}], r"unfreeze\[0\]\.epoch: 0 is out of range; allowed: whole numbers >= 1"),
        ([{"epoch": 1.5, "stages": 1}], r"epoch: 1\.5 is out of range"),
        ([{"epoch": 1, "stages": 1, "lr": 0}], r"unfreeze\[0\]\.lr: 0 is out of range; allowed: numbers > 0"),
        ([{"epoch": 1, "stages": 1, "lr": "fast"}], r"lr: 'fast' is out of range"),
        ([{"epoch": 3, "stages": 1}, {"epoch": 3, "stages": 2}], r"unfreeze\[1\]\.epoch: 3 does not follow 3"),
        ([{"epoch": 3, "stages": 1}, {"epoch": 1, "stages": 2}], r"unfreeze\[1\]\.epoch: 1 does not follow 3"),
        ([{"epoch": 1, "stages": 2}, {"epoch": 2, "stages": 2}], r"the last 2 are trained before epoch 2 already"),
        ({"epoch": 1, "every": 0}, r"unfreeze\.every: 0 is out of range; allowed: a number of epochs >= 1"),
        ({"every": 1}, r"unfreeze\.epoch: is missing"),
        ({"epoch": 1, "lr_factor": -1}, r"unfreeze\.lr_factor: -1 is out of range"),
        ({"epoch": 1, "stages": 1}, r"unfreeze: unknown key 'stages'.*Allowed: epoch, every, lr_factor"),
    ],
)  # fmt: skip
def test_wrong_schedules(unfreeze: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_steps(unfreeze, available=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": "none"}, "unfreeze: nothing is frozen; give `freeze: all`"),
        ({"freeze": 3, "unfreeze": [{"epoch": 1, "stages": 2}]}, "the last 2 are trained before epoch 1 already"),
        (
            {"freeze": ["layer4.*"], "unfreeze": [{"epoch": 1, "stages": 1}, {"epoch": 2, "stages": 2}]},
            "unfreeze: nothing is frozen in the last 2 stages in epoch 2",
        ),
        ({"layer_decay": 0}, r"layer_decay: 0 is out of range; allowed: 0 < layer_decay <= 1"),
        ({"layer_decay": 1.1}, r"layer_decay: 1\.1 is out of range"),
        ({"layer_decay": 0.9, "unfreeze": {"epoch": 1, "lr_factor": 0.5}}, "lr_factor: layer_decay lowers the rates"),
        ({"layer_decay": 0.9, "unfreeze": None}, r"layer_decay: 0\.9 has no effect, as only the last layer is trained"),
        (
            {"layer_decay": 0.9, "unfreeze": [{"epoch": 1, "stages": 1, "lr": 1e-3}]},
            r"has no effect, as the steps of `unfreeze` give all rates; leave out layer_decay, or the `lr`",
        ),
    ],
)
def test_wrong_arguments(weights: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_module(weights, **options)


# Training


def test_stages_are_trained_from_their_epoch_on(weights: Path) -> None:
    watch, module = Watch(), make_module(weights)
    make_trainer(max_epochs=4, callbacks=[watch]).fit(module, make_data())
    assert watch.moved == {epoch: expected(epoch) for epoch in range(4)}  # statistics of norm layers included
    assert watch.trained == watch.moved


def test_rates_are_the_steps_own_and_follow_the_schedule(weights: Path, tmp_path: Path) -> None:
    module = make_module(weights, schedule={"name": "exponential", "gamma": 0.5})
    logger = CSVLogger(tmp_path)
    make_trainer(max_epochs=2, logger=logger, callbacks=[LearningRateMonitor("epoch")]).fit(module, make_data())
    found = {group["name"]: group["lr"] for group in module.trainer.optimizers[0].param_groups}
    assert found == {"fc": 0.025, "layer4": 0.0025, "layer3": 0.0005, "layer2": 0.0005}
    assert module.trainer.optimizers[0].param_groups[0]["name"] == "fc"
    header = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()[0]
    assert {f"lr-SGD/{name}" for name in found} <= set(header.split(","))


def test_a_stage_without_a_rate_has_the_optimizers(weights: Path) -> None:
    groups = parameter_groups(
        module := make_module(weights, unfreeze=[{"epoch": 1, "stages": 2}]), rates=module.layer_rates(0.3)
    )
    assert {group["name"]: group["lr"] for group in groups} == {"fc": 0.3, "layer4": 0.3, "layer3": 0.3}
    module = make_module(weights, unfreeze={"epoch": 1, "lr_factor": 0.5})
    rates = {rate.name: (rate.lr, rate.epoch) for rate in module.layer_rates(1.0).values()}
    assert rates == {
        "fc": (1.0, 0), "layer4": (0.5, 1), "layer3": (0.25, 2), "layer2": (0.125, 3), "layer1": (0.0625, 4),
        "stem": (0.03125, 5),
    }  # fmt: skip


def test_groups_of_one_name_and_two_rates(weights: Path) -> None:
    module = make_module(weights, freeze=["layer4.*.weight"], unfreeze=[{"epoch": 1, "stages": 1, "lr": 0.01}])
    groups = parameter_groups(module, decay_bias_and_norm=False, rates=module.layer_rates(0.1))
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names)
    assert {"layer4", "layer4/no_decay", "layer4/no_decay#2"} <= set(names)
    trained = [p for group in groups for p in group["params"]]
    assert len(trained) == len(set(trained)) == len(list(module.parameters()))


@pytest.mark.parametrize("name", ["adam", "sgd", "lion"])
def test_frozen_weights_do_not_decay_with_any_optimizer(weights: Path, name: str) -> None:
    watch = Watch()
    module = make_module(
        weights,
        optimizer={"name": name, "lr": 1e-3, "weight_decay": 0.1},
        regularizers=[
            {"name": "l2", "weight": 0.1, "parameters": "all"},
            {"name": "l1", "weight": 0.1, "proximal": True},
        ],
    )
    make_trainer(max_epochs=2, callbacks=[watch]).fit(module, make_data())
    assert watch.moved == {epoch: expected(epoch) for epoch in range(2)}


def test_a_schedule_beyond_the_end_is_said(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        make_trainer(max_epochs=2).fit(make_module(weights), make_data())
    assert "unfreeze: epoch 3 is never reached (trainer.max_epochs is 2)" in caplog.text
    assert "epoch 1: trained from now on: layer4, fc" in caplog.text


def test_an_optimizer_of_ones_own_that_forgets_frozen_parameters(weights: Path) -> None:
    class Own(TransferModule):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)

    module = Own(
        input_shape=[3, 32, 32], num_outputs=2, backbone="test_resnet", weights=str(weights), unfreeze=SCHEDULE
    )
    with pytest.raises(ConfigError, match=r"lacks \d+ parameters that are to be trained later.*self\.layer_rates"):
        make_trainer().fit(module, make_data())


def test_lbfgs_knows_no_groups(weights: Path) -> None:
    module = make_module(weights, optimizer={"name": "lbfgs"})
    with pytest.raises(ConfigError, match=r"optimizer: .*'lbfgs' refuses.*parameter groups"):
        make_trainer().fit(module, make_data())


# Resume


@pytest.mark.parametrize(("last", "averages"), [(1, []), (2, []), (3, []), (2, [0.7])])
def test_resumed_equals_uninterrupted(weights: Path, last: int, averages: list[float], tmp_path: Path) -> None:
    def callbacks(*others: Callback) -> list[Callback]:
        return [*others, *(EMA(decay=decay) for decay in averages)]

    options: dict[str, Any] = {"optimizer": {"name": "adam", "lr": 1e-3}, "schedule": "cosine"}
    whole, watch = make_module(weights, **options), Watch()
    make_trainer(max_epochs=5, callbacks=callbacks(watch)).fit(whole, make_data())

    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    cut = make_trainer(max_epochs=5, callbacks=callbacks(keep, StopAfter(last)), enable_checkpointing=True)
    cut.fit(make_module(weights, **options), make_data())
    resumed, again = make_module(weights, **options), Watch()
    make_trainer(max_epochs=5, callbacks=callbacks(again)).fit(
        resumed, make_data(), ckpt_path=tmp_path / f"epoch={last - 1}.ckpt", weights_only=True
    )
    for epoch in range(last, 5):
        assert again.moved[epoch] == watch.moved[epoch] == expected(epoch)
    for (name, p), q in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(p, q), name


class StopAfter(Callback):
    """Ends training after some epochs, as a power cut would."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_resumed_in_the_middle_of_an_epoch(weights: Path, tmp_path: Path) -> None:
    """Lightning does not call on_train_epoch_start then."""
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=5)  # 3 steps an epoch
    make_trainer(max_epochs=2, callbacks=[keep], enable_checkpointing=True).fit(make_module(weights), make_data())
    saved = torch.load(tmp_path / "step=5.ckpt", weights_only=True)
    assert saved["epoch"] == 1
    resumed = make_module(weights)
    make_trainer(max_epochs=2).fit(resumed, make_data(), ckpt_path=tmp_path / "step=5.ckpt", weights_only=True)
    for name, p in resumed.named_parameters():
        trained = name.removeprefix("network.model.").startswith(("fc", "layer4"))
        assert p.requires_grad == trained, name
        if "conv" in name or "fc" in name:
            assert torch.equal(p, saved["state_dict"][name]) != trained, name


def test_training_again_starts_frozen_again(weights: Path) -> None:
    module, watch = make_module(weights), Watch()
    make_trainer(max_epochs=2).fit(module, make_data())
    make_trainer(max_epochs=2, callbacks=[watch]).fit(module, make_data())
    assert watch.trained == {0: expected(0), 1: expected(1)}


# Averages


def test_averaged_weights_follow_what_thaws(weights: Path) -> None:
    module, means = make_module(weights), {}

    class Reference(Callback):
        """The same average, by hand."""

        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            means.update({n: p.detach().clone() for n, p in pl_module.named_parameters()})

        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
            first = trainer.global_step == 1
            for n, p in pl_module.named_parameters():
                means[n] = p.detach().clone() if first else 0.5 * means[n] + 0.5 * p.detach()

    start = {name: p.detach().clone() for name, p in module.named_parameters()}
    make_trainer(max_epochs=3, callbacks=[Reference(), EMA(decay=0.5, warmup=False)]).fit(module, make_data())
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), means[name], rtol=0, atol=1e-6, msg=name)
        thawed = name.removeprefix("network.model.").startswith(("fc", "layer4"))
        assert torch.equal(p, start[name]) != thawed, name


# Several processes


def share_out(weights: Path, processes: int, batch_size: int, **options: Any) -> TransferModule:
    several: dict[str, Any] = {"strategy": "ddp_fork", "devices": processes} if processes > 1 else {"devices": 1}
    module = make_module(weights, batch_norm="frozen", **options)  # whose statistics each process has of its own
    make_trainer(max_epochs=5, **several).fit(module, make_data(batch_size))
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "still"),
    [
        ({}, ("conv1.", "bn1.", "layer1.")),
        (
            {"unfreeze": {"epoch": 1}, "optimizer": {"name": "adam", "lr": 1e-3}, "schedule": "cosine"},
            ("conv1.", "bn1."),  # whose turn would be in epoch 5
        ),
    ],
    ids=["steps", "pace"],
)
def test_two_processes_equal_one(weights: Path, options: dict[str, Any], still: tuple[str, ...]) -> None:
    one, two = share_out(weights, 1, 4, **options), share_out(weights, 2, 2, **options)
    start = make_module(weights)
    for (name, p), q, r in zip(two.named_parameters(), one.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")
        assert torch.equal(p, r) == name.removeprefix("network.model.").startswith(still), name


def test_sharded_parameters_are_refused(weights: Path) -> None:
    class Sharded(TransferModule):
        def configure_model(self) -> None:
            """What the strategy asks for."""

    module = Sharded(
        input_shape=[3, 32, 32], num_outputs=2, backbone="test_resnet", weights=str(weights), unfreeze=SCHEDULE
    )
    strategy = ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=1)
    try:
        with pytest.raises(ConfigError, match=r"unfreeze: works on one device and with trainer\.strategy: ddp, not"):
            make_trainer(strategy=strategy, devices=1).fit(module, make_data())
    finally:
        torch.distributed.destroy_process_group()  # which Lightning leaves to the end of the process


@pytest.mark.parametrize(("backbone", "refused"), [("test_efficientnet", True), ("test_resnet", False)])
def test_shared_norm_layers_keep_their_activations(backbone: str, refused: bool) -> None:
    network = Transfer((3, 32, 32), 2, backbone, freeze="none")
    shared = Trainer(accelerator="cpu", devices=2, strategy="ddp", sync_batchnorm=True, logger=False)
    alone = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    check_norm_sync(network, alone)
    if refused:
        with pytest.raises(
            ConfigError, match=r"trainer\.sync_batchnorm: torch's conversion would take the activations"
        ):
            check_norm_sync(network, shared)
    else:
        check_norm_sync(network, shared)
        count = [type(module).__name__ for module in network.modules()].count("ReLU")
        converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        assert [type(module).__name__ for module in converted.modules()].count("ReLU") == count > 0


# Layer-wise decay


@pytest.mark.parametrize(
    "backbone", ["resnet18", "mobilenetv2_050", "convnext_atto", "test_vit", "densenet121", "vgg11"]
)
def test_layer_decay_is_timms(backbone: str) -> None:
    with torch.device("meta"):
        network = Transfer((3, 64, 64), 2, backbone, freeze="none")
    unfreezing = Unfreezing(network, None)
    found = layer_rates(network.model, 0.01, 0.7, unfreezing)
    groups = param_groups_layer_decay(network.model, layer_decay=0.7)
    reference = {p: 0.01 * group["lr_scale"] for group in groups for p in group["params"]}
    assert {p: rate.lr for p, rate in found.items()} == pytest.approx(reference)
    assert len(set(reference.values())) > 5
