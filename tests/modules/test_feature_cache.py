"""A head that trains on cached features becomes what it would become without the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image
from tests.modules.conftest import make_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fulmen.callbacks import EMA, Checkpoint
from fulmen.core.batch import Batch, Ready
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData, ImageFolderData, SupervisedDataModule
from fulmen.modules import TransferModule, feature_cache
from fulmen.modules.feature_cache import FeatureCache
from fulmen.nn.regularizers import Regularizer

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # that is what frozen means

SIZE, TRAIN = 32, 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULMEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A backbone that tells colours apart."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.1, 0.5)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(model.state_dict(), path)
    return str(path)


def make_data(train: int = TRAIN, floats: bool = False, **options: Any) -> ArrayData:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(train + 13) % 2
    images = torch.randint(0, 160, (len(targets), 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    images[targets == 1, 0] += 90
    options = {"batch_size": 16, "val_fraction": 13 / len(targets), "test_fraction": 0.0, **options}
    return ArrayData(images / 255 if floats else images, targets, **options)


def make_module(weights: str, data: SupervisedDataModule, **options: Any) -> TransferModule:
    torch.manual_seed(1)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    options = {"backbone": "test_resnet", "weights": weights, "optimizer": {"name": "adam", "lr": 0.02}, **options}
    return TransferModule(**known, **options)


def fitted(
    weights: str, cached: Any, data: SupervisedDataModule | None = None, epochs: int = 2, **options: Any
) -> tuple[TransferModule, Trainer]:
    data = data or make_data()
    module = make_module(weights, data, feature_cache=cached, **options)
    trainer = make_trainer(max_epochs=epochs)
    trainer.fit(module, data)
    return module, trainer


def head(module: TransferModule) -> Tensor:
    found: Any = module.network
    return torch.cat([p.detach().flatten() for p in found.model.get_classifier().parameters()])


def numbers(trainer: Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def assert_same(one: tuple[TransferModule, Trainer], other: tuple[TransferModule, Trainer]) -> None:
    """Head, frozen part and what was logged."""
    torch.testing.assert_close(head(one[0]), head(other[0]), rtol=0, atol=1e-5)
    for (name, found), expected in zip(one[0].state_dict().items(), other[0].state_dict().values(), strict=True):
        trained = any(part in name for part in (".fc.", ".head.", ".classifier."))
        assert trained or torch.equal(found, expected), name
    assert numbers(one[1]) == pytest.approx(numbers(other[1]), rel=1e-5, abs=1e-5)


class Passes(Callback):
    """How many images run through the module's own backbone while it is trained or validated."""

    images = 0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        def count(layer: Any, inputs: Any, output: Tensor) -> None:
            self.images += len(output)

        pl_module.network.model.conv1.register_forward_hook(count)

    on_validation_start = on_train_start


@pytest.mark.parametrize("cached", ["ram", "disk", {"batch_size": 5}])
def test_the_head_is_that_without_the_cache(weights: str, cached: Any) -> None:
    one, other = fitted(weights, None), fitted(weights, cached)
    before = head(make_module(weights, make_data()))
    assert float((head(one[0]) - before).abs().max()) > 0.05  # it did learn
    assert_same(other, one)


@pytest.mark.parametrize(
    "options",
    [
        {"drop_rate": 0.5},
        {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "cosine", "warmup_epochs": 1}},
        {"regularizers": [{"name": "l2", "weight": 0.01}], "loss": {"name": "binary_cross_entropy"}},
    ],
    ids=["dropout", "schedule", "regularizer"],
)
def test_so_it_is_with_options(weights: str, options: dict[str, Any]) -> None:
    assert_same(fitted(weights, "ram", **options), fitted(weights, None, **options))


@pytest.mark.parametrize("options", [{"balance": "sampler"}, {"folds": 3, "fold": 1}, {"eval_batch_size": 4}])
def test_so_it_is_with_options_of_the_data(weights: str, options: dict[str, Any]) -> None:
    assert_same(fitted(weights, "ram", make_data(**options)), fitted(weights, None, make_data(**options)))


def test_views_are_the_epochs_of_augmented_training(weights: str) -> None:
    augment = ["flip", {"name": "noise", "p": 1.0}]
    expected = fitted(weights, None, make_data(augment=augment), epochs=3)
    assert_same(fitted(weights, {"views": 3}, make_data(augment=augment), epochs=3), expected)
    two, _ = fitted(weights, {"views": 2, "where": "disk"}, make_data(augment=augment), epochs=3)
    assert float((head(two) - head(expected[0])).abs().max()) > 1e-4  # the third epoch saw the first view again
    again, _ = fitted(weights, {"views": 2}, make_data(augment=augment), epochs=3)
    assert torch.equal(head(two), head(again))


def test_without_augmentations_there_is_one_view(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_same(fitted(weights, {"views": 4}), fitted(weights, "ram"))


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("test_efficientnet", {}),
        ("test_byobnet", {}),
        ("test_convnext", {}),
        ("test_nfnet", {}),
        ("test_vit", {"img_size": SIZE}),
        ("resnetv2_50", {"layers": [1, 1, 1, 1], "channels": [16, 32, 48, 64]}),  # its classifier is a convolution
    ],
)
def test_other_backbones(backbone: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(timm.create_model(backbone, **options).state_dict(), tmp_path / "weights.pth")
    given: dict[str, Any] = {"backbone": backbone, "backbone_options": options, "drop_rate": 0.3}
    path = str(tmp_path / "weights.pth")
    assert_same(fitted(path, "ram", epochs=1, **given), fitted(path, None, epochs=1, **given))


def test_the_backbone_runs_on_each_image_once(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, fast_forward = 0, feature_cache.fast_forward

    def counting(*arguments: Any) -> Any:
        forward = fast_forward(*arguments)

        def run(images: Tensor) -> Tensor:
            nonlocal computed
            computed += len(images)
            return forward(images)

        return run

    monkeypatch.setattr(feature_cache, "fast_forward", counting)
    data, passes = make_data(), Passes()
    make_trainer(max_epochs=4, callbacks=[passes]).fit(make_module(weights, data, feature_cache="ram"), data)
    assert computed == sum(len(split) for split in data.datasets.values())
    assert passes.images == 0


def test_the_checkpoint_is_that_of_the_whole_model(weights: str, tmp_path: Path) -> None:
    data = make_data(predict_split="val")
    module = make_module(weights, data, feature_cache="ram")
    saver = Checkpoint("val/loss", dirpath=tmp_path)
    trainer = make_trainer(max_epochs=2, callbacks=[saver], enable_checkpointing=True)
    trainer.fit(module, data)
    logged = numbers(trainer)
    plain = make_module(weights, data)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["state_dict"].keys() == plain.state_dict().keys()
    loaded = TransferModule.load_from_checkpoint(tmp_path / "last.ckpt")
    images = torch.randn(3, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), module.eval()(images))
        torch.testing.assert_close(loaded.network(loaded.network.features(images)), loaded(images), rtol=0, atol=1e-5)
    passes = Passes()
    whole = make_trainer(callbacks=[passes])
    (scores,) = whole.validate(loaded, data, verbose=False)
    assert passes.images == len(data.datasets["val"])
    assert scores == pytest.approx({name: logged[name] for name in scores}, abs=1e-5)
    (found,) = whole.predict(loaded, data)
    assert len(found["prediction"]) == len(data.datasets["val"])


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_resumed_run_equals_an_uninterrupted_one(weights: str, tmp_path: Path) -> None:
    data, options = make_data(), {"feature_cache": "ram", "schedule": {"name": "cosine"}}
    whole = make_module(weights, data, **options)
    saver = Checkpoint(None, dirpath=tmp_path, save_top_k=-1, filename="{epoch}", save_last=False)
    make_trainer(max_epochs=4, callbacks=[saver], enable_checkpointing=True).fit(whole, data)
    torch.save({k: v + 1 for k, v in torch.load(weights).items()}, tmp_path / "other.pth")
    resumed = make_module(str(tmp_path / "other.pth"), make_data(), **options)  # the checkpoint's weights count
    saver = Checkpoint(None, dirpath=tmp_path, save_top_k=-1, filename="{epoch}", save_last=False)
    trainer = make_trainer(max_epochs=4, callbacks=[saver], enable_checkpointing=True)
    trainer.fit(resumed, make_data(), ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    assert torch.equal(head(resumed), head(whole))


class Watching(Callback):
    def __init__(self) -> None:
        self.loaded: list[Any] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.loaded.append(batch)


def test_images_are_loaded_again_when_the_training_has_ended_or_failed(weights: str) -> None:
    class Failing(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            raise RuntimeError("power cut")

    data = make_data()
    watching = Watching()
    with pytest.raises(RuntimeError, match="power cut"):
        make_trainer(callbacks=[watching, Failing()]).fit(make_module(weights, data, feature_cache="ram"), data)
    assert all(isinstance(batch, Ready) and batch.inputs.ndim == 2 for batch in watching.loaded)
    assert next(iter(data.train_dataloader())).inputs.ndim == 4
    plain, cleared = Watching(), make_trainer(callbacks=[])
    make_trainer(callbacks=[plain]).fit(make_module(weights, data), data)
    assert all(type(batch) is Batch and batch.inputs.ndim == 4 for batch in plain.loaded)
    cleared.fit(make_module(weights, data, feature_cache="ram"), data)
    assert not data.stand_ins
    assert next(iter(data.val_dataloader())).inputs.ndim == 4


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions(weights: str, precision: Any) -> None:
    trained = []
    for cached in (None, "ram"):
        data = make_data(floats=True)
        module = make_module(weights, data, feature_cache=cached)
        make_trainer(max_epochs=2, precision=precision).fit(module, data)
        trained.append(head(module))
    limit = 1e-5 if precision == "64-true" else 5e-2
    torch.testing.assert_close(trained[1], trained[0], rtol=0, atol=limit)


def test_nothing_is_computed_in_vain(weights: str, cache: Path) -> None:
    data, watching = make_data(), Watching()
    module = make_module(weights, data, feature_cache="disk")
    make_trainer(fast_dev_run=True, callbacks=[watching]).fit(module, data)
    assert [type(batch) for batch in watching.loaded] == [Batch]
    assert not cache.exists()
    make_trainer(limit_val_batches=0).fit(module, data)
    assert len(files(cache)) == 1


@pytest.mark.parametrize("options", [{"gradient_checkpointing": True}, {"channels_last": True}, {"ema": True}])
def test_beside_helpers_of_training(weights: str, options: dict[str, Any]) -> None:
    callbacks: list[Callback] = [EMA(0.5)] if options.pop("ema", False) else []
    heads = []
    for cached in (None, "ram"):
        data = make_data()
        module = make_module(weights, data, feature_cache=cached, **options)
        make_trainer(max_epochs=2, callbacks=list(callbacks)).fit(module, data)
        heads.append(head(module))
    torch.testing.assert_close(heads[1], heads[0], rtol=0, atol=1e-5)


# What is kept on disk


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


def image_folder(root: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for split, number in (("train", 6), ("val", 3)):
        for label in ("ants", "bees"):
            (root / split / label).mkdir(parents=True)
            for i in range(number):
                Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(root / split / label / f"{i}.png")
    return root


def test_the_disk_serves_later_runs(
    weights: str, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, options = image_folder(tmp_path / "images"), {"image_size": 32, "num_workers": 0, "batch_size": 4}
    caplog.set_level("INFO")
    first = fitted(weights, "disk", ImageFolderData(str(root), **options))
    assert caplog.text.count("computed in") == 2
    kept = files(cache)
    assert len(kept) == 2
    monkeypatch.setattr("fulmen.modules.feature_cache.fast_forward", None)  # nothing may be computed
    options = {**options, "num_workers": 1, "batch_size": 4, "eval_batch_size": 3}  # these change no feature
    second = fitted(weights, "disk", ImageFolderData(str(root), **options), drop_rate=0.0)
    assert caplog.text.count("found in") == 2
    assert files(cache) == kept
    assert_same(second, first)


@pytest.mark.parametrize(
    ("changed", "new"),
    [
        ("weights", 2),
        ("statistics", 2),
        ("image", 1),
        ("label", 1),
        ("more", 1),
        ("image_size", 2),
        ("mean", 2),
        ("crop", 2),
        ("backbone_options", 2),
        ("nothing", 0),
        ("head", 0),
        ("training", 0),
    ],
)
def test_what_changes_the_features_computes_them_anew(
    weights: str, cache: Path, tmp_path: Path, changed: str, new: int
) -> None:
    root = image_folder(tmp_path / "images")
    data: dict[str, Any] = {"image_size": 32, "num_workers": 0, "batch_size": 4, "mean": [0.5] * 3, "std": [0.5] * 3}
    module: dict[str, Any] = {}
    fitted(weights, "disk", ImageFolderData(str(root), **data), epochs=1)
    kept, state = files(cache), torch.load(weights, weights_only=True)
    if changed == "weights":
        state["layer2.0.conv1.weight"][0, 0, 0, 0] += 1e-3
    elif changed == "statistics":
        state["bn1.running_var"][0] += 1e-3
    elif changed == "head":
        state["fc.bias"] += 1
    elif changed == "image":
        pixels = np.array(Image.open(root / "train" / "ants" / "5.png"))
        pixels[20, 20] ^= 1
        Image.fromarray(pixels).save(root / "train" / "ants" / "5.png")
    elif changed == "label":
        (root / "val" / "ants" / "2.png").rename(root / "val" / "bees" / "00.png")
    elif changed == "more":
        Image.new("RGB", (40, 40)).save(root / "train" / "ants" / "6.png")
    elif changed == "backbone_options":
        module["backbone_options"] = {"act_layer": "silu"}
    elif changed == "training":
        data |= {"batch_size": 3}
        module |= {"optimizer": {"name": "sgd", "lr": 0.1}, "drop_rate": 0.0}
    data |= {"image_size": {"image_size": 40}, "mean": {"mean": [0.5, 0.5, 0.4]}, "crop": {"crop": 1.0}}.get(
        changed, {}
    )
    torch.save(state, tmp_path / "weights.pth")
    fitted(str(tmp_path / "weights.pth"), "disk", ImageFolderData(str(root), **data), epochs=1, **module)
    assert len(files(cache) - kept) == new
    assert kept <= files(cache)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"augment": ["flip"]}, {"augment": [{"name": "flip", "p": 0.6}]}),
        ({"augment": ["flip"]}, {"augment": None}),
        ({"augment": ["flip"]}, {"augment": ["flip"], "seed": "1"}),
        ({"augment": ["flip"]}, {"augment": ["flip"], "views": 3}),
    ],
)
def test_so_do_augmentations(
    weights: str, cache: Path, first: dict[str, Any], second: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(augment: Any, views: int = 2, seed: str = "0") -> int:
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        data = make_data(augment=augment)
        fitted(weights, {"where": "disk", "views": views}, data, epochs=1)
        return len(files(cache))

    assert run(**first) == 2
    assert run(**second) == 3  # the validation split is the same
    assert run(**first) == 3


def test_a_cut_file_is_written_anew(weights: str, cache: Path) -> None:
    expected = fitted(weights, "disk")
    for path in cache.glob("*"):
        path.write_bytes(path.read_bytes()[:-100])
    assert_same(fitted(weights, "disk"), expected)
    assert {path.stat().st_size % 4 for path in cache.glob("*")} == {0}
    assert not [path for path in cache.glob("*") if path.suffix != ".npy"]


def test_a_killed_run_leaves_nothing_half_written(weights: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyboardInterrupt

    def forward(images: Tensor) -> Tensor:
        return broken() if cache.is_dir() and files(cache) else torch.zeros(len(images), 4)

    monkeypatch.setattr("fulmen.modules.feature_cache.fast_forward", lambda *_: forward)
    with pytest.raises(KeyboardInterrupt):
        FeatureCacheProbe(weights).run()
    assert files(cache) == set()


class FeatureCacheProbe:
    """Fills a cache without Lightning's own handling of interrupts."""

    def __init__(self, weights: str) -> None:
        self.weights = weights

    def run(self) -> None:
        class Stop(Callback):
            def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
                pl_module._feature_cache.fill(pl_module)

        data = make_data()
        module = make_module(self.weights, data, feature_cache="disk")
        trainer = make_trainer(callbacks=[Stop()])
        try:
            trainer.fit(module, data)
        except SystemExit as end:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from end


def test_a_folder_that_cannot_be_written_to(weights: str, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("no folder")
    with pytest.raises(DataError, match=r"feature_cache: .*features cannot be written to: .*feature_cache: ram"):
        fitted(weights, "disk")


def test_too_little_memory(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulmen.data.feature_files.free_memory", lambda: 1000)
    with pytest.raises(DataError, match=r"feature_cache: ram needs 0\.0\d+ MB of memory, .* write feature_cache: disk"):
        fitted(weights, "ram")


# What cannot be cached


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("memory", "'memory' is not allowed; write ram, disk or null"),
        ({"where": None}, "None is not allowed; write ram, disk or null"),
        ({"view": 3}, "did you mean 'views'"),
        ({"views": 0}, "views: 0 is out of range; allowed: at least 1"),
        ({"batch_size": 1.5}, "batch_size: 1.5 is out of range"),
        ({"views": True}, "views: True is out of range"),
    ],
)
def test_wrong_specs(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"^feature_cache: ") as error:
        FeatureCache(spec)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": "none"}, r"feature_cache: conv1\S* is trained"),
        ({"freeze": 2}, "feature_cache: layer.* is trained"),
        ({"batch_norm": "update"}, "feature_cache: `batch_norm: update` changes the features"),
        ({"unfreeze": [{"epoch": 1, "stages": 1}]}, "feature_cache: `unfreeze` changes the backbone"),
    ],
)
def test_a_backbone_that_moves_is_refused(weights: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_module(weights, make_data(), feature_cache="ram", **options)


def test_several_classifiers_are_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"depth": 1, "img_size": SIZE}
    name = "deit_tiny_distilled_patch16_224"
    torch.save(timm.create_model(name, **options).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="feature_cache: this backbone has more than one classifier"):
        make_module(
            str(tmp_path / "weights.pth"), make_data(), backbone=name, backbone_options=options, feature_cache="ram"
        )


def test_chance_inside_the_backbone_is_refused(weights: str) -> None:
    data = make_data()
    module = make_module(weights, data, feature_cache="ram")
    network: Any = module.network
    network.model.maxpool = nn.Sequential(network.model.maxpool, nn.Dropout(0.5))
    with pytest.raises(ConfigError, match="feature_cache: this backbone cannot be cached: its logits depend on more"):
        make_trainer().fit(module, data)


def test_a_head_that_sees_more_is_refused(weights: str) -> None:
    data = make_data()
    module = make_module(weights, data, feature_cache="ram")
    network: Any = module.network
    forward = network.model.forward
    network.model.forward = lambda x: forward(x) + x.mean((1, 2, 3))[:, None]
    with pytest.raises(ConfigError, match="feature_cache: this backbone cannot be cached: its logits depend on more"):
        make_trainer().fit(module, data)


def test_augmentations_need_a_number_of_views(weights: str) -> None:
    with pytest.raises(ConfigError, match=r"say how many augmented views .* \{where: ram, views: 5\}"):
        fitted(weights, "ram", make_data(augment=["flip"]))


def test_augmentations_without_names_are_not_kept_on_disk(weights: str) -> None:
    from albumentations import HorizontalFlip

    def run(where: str) -> None:
        fitted(weights, {"where": where, "views": 2}, make_data(augment=[HorizontalFlip(p=0.5)]), epochs=1)

    run("ram")
    with pytest.raises(ConfigError, match=r"an object in data\.augment has no name.*feature_cache: ram"):
        run("disk")


class Changing(Regularizer):
    def before_forward(self, module: Any, batch: Batch) -> Batch:
        return batch._replace(inputs=batch.inputs + 1)


class Hooked(Regularizer):
    def __init__(self, layer: str) -> None:
        super().__init__(1.0)
        self.layer = layer

    def attach(self, module: Any) -> Any:
        return [module.network.model.get_submodule(self.layer).register_forward_hook(lambda m, i, o: None)]


@pytest.mark.parametrize("regularizer", [Changing(1.0), Hooked("layer2")])
def test_regularizers_of_what_does_not_run_are_refused(weights: str, regularizer: Regularizer) -> None:
    name = type(regularizer).__name__
    with pytest.raises(ConfigError, match=f"regularizers: {name} acts on images or on layers of the backbone"):
        fitted(weights, "ram", regularizers=[regularizer])


def test_regularizers_of_the_head_are_not(weights: str) -> None:
    fitted(weights, "ram", regularizers=[Hooked("fc")], epochs=1)


def test_own_loaders_are_refused(weights: str) -> None:
    module = make_module(weights, make_data(), feature_cache="ram")
    loader: Any = DataLoader([(torch.zeros(3, SIZE, SIZE), 0)] * 4)
    with pytest.raises(ConfigError, match="feature_cache: needs one of Fulmen's datamodules, and got NoneType"):
        make_trainer().fit(module, loader, loader)


def test_misspelt_monitors_are_still_found(weights: str) -> None:
    assert not make_module(weights, make_data()).logs_more()

    class Own(TransferModule):
        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()

    data = make_data()
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    assert Own("test_resnet", weights=weights, **known).logs_more()


# Several processes


@pytest.mark.slow
@pytest.mark.parametrize("where", ["ram", "disk"])
@pytest.mark.parametrize("train", [TRAIN, TRAIN + 1])
def test_two_processes_do_what_one_does(weights: str, where: str, train: int, cache: Path) -> None:
    heads, logged = [], []
    for processes in (1, 2):
        data = make_data(train, batch_size=8 // processes)
        module = make_module(weights, data, feature_cache=where)
        several: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2} if processes > 1 else {}
        trainer = make_trainer(max_epochs=2, **several)
        trainer.fit(module, data)
        heads.append(head(module))
        logged.append({k: v for k, v in numbers(trainer).items() if k.startswith("val")})
        for path in cache.glob("*"):
            path.unlink()
    if train % 2 == 0:  # else the processes leave a sample out
        torch.testing.assert_close(heads[1], heads[0], rtol=0, atol=1e-5)
        assert logged[1] == pytest.approx(logged[0], abs=1e-5)


@pytest.mark.slow
def test_two_processes_find_what_is_on_disk(weights: str, cache: Path) -> None:
    def run() -> Tensor:
        data = make_data(batch_size=4)
        module = make_module(weights, data, feature_cache="disk")
        make_trainer(max_epochs=1, strategy="ddp_fork", devices=2).fit(module, data)
        return head(module)

    first, kept = run(), {path: path.stat().st_mtime_ns for path in cache.glob("*")}
    assert len(kept) == 2
    assert torch.equal(run(), first)
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*")} == kept
