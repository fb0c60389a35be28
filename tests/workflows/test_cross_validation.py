"""Cross-validation from Python: what is scored, by whom, and that nothing leaks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from fulmen import ArrayData, DiabetesData, DigitsData, IrisData, MLPModule
from fulmen.cli.cross_validate import closing
from fulmen.core.errors import ConfigError, DataError
from fulmen.evaluation import Predictions
from fulmen.evaluation.bootstrap import intervals
from fulmen.evaluation.metrics import HEADLINE
from fulmen.workflows import CrossValidation, cross_validate
from fulmen.workflows.fold_page import fold_page
from fulmen.workflows.fold_plan import Fold, plan_folds
from fulmen.workflows.fold_results import FoldResult, gather

TRAINER: dict[str, Any] = {
    "max_epochs": 3,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def make(data: Any) -> MLPModule:
    facts = {"input_shape": data.input_shape, "num_outputs": data.num_outputs, "target_type": data.target_type}
    return MLPModule([16], class_names=data.class_names, optimizer={"name": "adam", "lr": 0.01}, **facts)


class Seen(Callback):
    """Keeps which rows training and validation saw."""

    seen: list[tuple[set[int], set[int]]] = []  # noqa: RUF012  # callbacks are copied for each fold

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.train, self.val = set[int](), set[int]()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.train |= set(batch.index.tolist())

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *args: Any) -> None:
        self.val |= set(batch.index.tolist()) - {-1}

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append((self.train, self.val))


def test_every_sample_is_scored_by_a_model_that_has_not_seen_it() -> None:
    data = IrisData(split_seed=3)
    data.setup("fit")
    own = set(data.datasets["test"].rows.tolist())  # type: ignore[attr-defined]
    Seen.seen.clear()
    found = cross_validate(make, data, folds=4, repeats=2, trainer={**TRAINER, "callbacks": [Seen()]})
    assert len(found.folds) == len(Seen.seen) == 8
    for result, (train, val) in zip(found.folds, Seen.seen, strict=True):
        scored = set(map(int, result.predictions.samples))
        assert not scored & train
        assert not scored & val
        assert not own & (scored | train | val)
        assert len(scored | train | val) == 150 - len(own)
        assert (result.train, result.val) == (len(train), len(val))
    for repeat in range(2):
        names = [s for r in found.folds if r.fold.repeat == repeat for s in r.predictions.samples]
        assert sorted(map(int, names)) == sorted(set(range(150)) - own)
    assert found.plan.held_out == len(own)
    assert data.splitting.folds is None
    assert found.predictions.targets.tolist() == data.targets[list(map(int, found.predictions.samples))].tolist()


def test_metrics_are_scikit_learns_on_the_joined_predictions() -> None:
    found = cross_validate(make, IrisData(), folds=3, trainer=TRAINER)
    joined = found.predictions
    assert found.scores["accuracy"] == pytest.approx(accuracy_score(joined.targets, joined.predicted))
    shares = joined.scores.astype(float) / joined.scores.sum(1, keepdims=True, dtype=float)
    assert found.scores["log_loss"] == pytest.approx(log_loss(joined.targets, shares), rel=1e-5)
    folds = joined.columns["fold"]
    each = [accuracy_score(joined.targets[folds == k], joined.predicted[folds == k]) for k in range(3)]
    assert found.spread["accuracy"].values == pytest.approx(each)
    assert found.spread["accuracy"].mean == pytest.approx(np.mean(each))
    assert found.spread["accuracy"].deviation == pytest.approx(np.std(each, ddof=1))
    aucs = [roc_auc_score(joined.targets[folds == k], shares[folds == k], multi_class="ovr") for k in range(3)]
    assert found.spread["auroc"].values == pytest.approx(aucs, abs=1e-6)
    assert found.intervals["accuracy"] == intervals(joined)["accuracy"]


def test_the_same_seed_gives_the_same_predictions_and_leaves_the_random_state() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one = cross_validate(make, IrisData(), folds=2, trainer=TRAINER)
    assert torch.equal(torch.rand(1), expected)
    other = cross_validate(make, IrisData(), folds=2, trainer=TRAINER)
    assert np.array_equal(one.predictions.scores, other.predictions.scores)
    third = cross_validate(make, IrisData(), folds=2, trainer=TRAINER, seed=1)
    assert not np.array_equal(one.predictions.scores, third.predictions.scores)


def test_what_is_written_is_what_was_found(tmp_path: Path) -> None:
    found = cross_validate(make, DiabetesData(), folds=3, trainer=TRAINER, folder=tmp_path)
    kept = Predictions.read(tmp_path / "oof_predictions.csv")
    assert np.array_equal(kept.scores, found.predictions.scores)
    assert kept.columns["fold"].tolist() == found.predictions.columns["fold"].tolist()
    record = json.loads((tmp_path / "cross_validation.json").read_text())
    assert record["pooled"]["rmse"]["value"] == found.scores["rmse"]
    assert record["over_folds"]["mae"]["values"] == found.spread["mae"].values
    assert record["complete"]
    lines = (tmp_path / "folds.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("name,repeat,fold,train,val,scored,epochs,best_epoch,seconds,")
    for fold in range(3):
        assert (tmp_path / f"fold_{fold}" / "split.csv").is_file()
        assert list((tmp_path / f"fold_{fold}" / "checkpoints").glob("best*.ckpt"))


def test_the_best_epoch_is_scored_not_the_last() -> None:
    """At a rate at which the model falls apart after its first epochs."""

    def wild(data: Any) -> MLPModule:
        schedule = {"name": "exponential", "gamma": 8.0}
        facts = {"input_shape": data.input_shape, "num_outputs": data.num_outputs, "target_type": data.target_type}
        optimizer = {"name": "adam", "lr": 0.01}
        return MLPModule([16], class_names=data.class_names, optimizer=optimizer, schedule=schedule, **facts)

    trainer = {**TRAINER, "max_epochs": 5}
    best = cross_validate(wild, IrisData(), folds=2, trainer=trainer, patience=None)
    last = cross_validate(wild, IrisData(), folds=2, trainer=trainer, monitor=None)
    assert all(result.best_epoch < result.epochs - 1 for result in best.folds)
    assert all(result.best_epoch == result.epochs - 1 for result in last.folds)
    assert best.scores["log_loss"] < last.scores["log_loss"]


def test_early_stopping_begins_anew_in_each_fold() -> None:
    found = cross_validate(make, IrisData(), folds=3, trainer={**TRAINER, "max_epochs": 60}, patience=2)
    for result in found.folds:
        assert result.epochs in (60, result.best_epoch + 3)
        assert len(result.history) == result.epochs


# No leak


@pytest.mark.parametrize("features", ["shuffled targets", "noise"])
def test_nothing_to_learn_scores_chance(features: str) -> None:
    """Real images with shuffled targets, and more features of noise than samples: any look at the scored fold, by the
    training, the choice of the epoch or the preprocessing, would show."""
    rng = np.random.default_rng(0)
    if features == "noise":
        inputs, targets = rng.normal(size=(400, 600)).astype(np.float32), np.arange(400) % 2
    else:
        data = DigitsData()
        inputs, targets = (
            np.asarray(data.inputs).reshape(1797, -1)[:900],
            rng.permutation(np.asarray(data.targets))[:900],
        )
    trained = ArrayData(inputs, targets, test_fraction=0.0, batch_size=64)
    found = cross_validate(make, trained, folds=5, trainer={**TRAINER, "max_epochs": 15}, patience=4)
    n, chance = len(targets), max(np.bincount(targets)) / len(targets)
    low, high = stats.binom.interval(0.999, n, chance if features == "noise" else 0.1)
    assert low <= found.scores["accuracy"] * n <= high


def test_a_scaler_learns_from_the_samples_that_train() -> None:
    """One outlier in the scored fold would move mean and scale."""
    means = {}

    def look(view: Any) -> MLPModule:
        fold = view.splitting.fold
        rows = view.datasets["train"].rows
        means[fold] = (view.statistics["mean"], view.inputs[rows].mean(0))
        return make(view)

    inputs = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    inputs[7] = 1e4
    cross_validate(look, ArrayData(inputs, np.arange(60) % 2, test_fraction=0), folds=3, trainer=TRAINER)
    assert len(means) == 3
    assert all(torch.allclose(*pair, rtol=1e-4) for pair in means.values())
    assert sum(bool(mean.max() < 1) for mean, _ in means.values()) >= 1  # where the outlier is scored


# Ways to divide


def test_groups_and_intervals_of_whole_groups() -> None:
    rng = np.random.default_rng(0)
    who = np.repeat([f"p{i}" for i in range(12)], 10)
    data = ArrayData(
        rng.normal(size=(120, 4)).astype(np.float32),
        np.arange(120) % 2,
        columns={"who": who},
        split_by={"group": "who"},
        test_fraction=0,
    )
    found = cross_validate(make, data, folds="groups", trainer={**TRAINER, "max_epochs": 1})
    assert found.plan.groups is not None
    assert sorted(found.plan.groups) == sorted(set(who))
    for result in found.folds:
        assert {who[int(s)] for s in result.predictions.samples} == {found.plan.groups[result.fold.fold]}
    clusters = who[list(map(int, found.predictions.samples))]
    assert found.intervals["accuracy"] == intervals(found.predictions, groups=clusters)["accuracy"]
    assert found.intervals["accuracy"] != intervals(found.predictions)["accuracy"]
    assert any("whole groups" in note for note in found.notes())


def test_by_time_the_oldest_part_is_not_scored() -> None:
    data = ArrayData(
        np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32),
        np.linspace(0, 1, 120, dtype=np.float32),
        columns={"day": np.arange(120)},
        split_by={"time": "day"},
        test_fraction=0,
    )
    found = cross_validate(make, data, folds=5, trainer={**TRAINER, "max_epochs": 1})
    assert sorted(map(int, found.predictions.samples)) == [*range(20, 120)]
    assert found.plan.unscored == 20
    assert any("oldest 20 samples only train" in note for note in found.notes())


def test_repetitions_do_not_pass_for_more_samples() -> None:
    once = cross_validate(make, IrisData(), folds=3, trainer={**TRAINER, "max_epochs": 1})
    often = cross_validate(make, IrisData(), folds=3, repeats=4, trainer={**TRAINER, "max_epochs": 1})
    widths = [found.intervals["accuracy"].high - found.intervals["accuracy"].low for found in (once, often)]
    assert widths[1] > 0.6 * widths[0]  # a quarter of the variance would halve it
    naive = intervals(often.predictions)["accuracy"]
    assert widths[1] > 1.3 * (naive.high - naive.low)


# Mistakes


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (IrisData(), {"folds": 1}, "folds: 1 is out of range; allowed: at least 2, or `groups`"),
        (IrisData(), {"repeats": 0}, "repeats: 0 is out of range"),
        (IrisData(folds=3), {}, "data.folds: 3 makes the data one fold"),
        (IrisData(val_fraction=0), {}, "data.val_fraction: 0 leaves no samples to stop the training by"),
        (IrisData(), {"folds": "groups"}, "folds: `groups` makes a fold of each group; say which"),
        (LightningDataModule(), {}, "LightningDataModule is no SupervisedDataModule"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(data: Any, options: dict[str, Any], message: str) -> None:
    def never(view: Any) -> MLPModule:
        raise AssertionError

    with pytest.raises(ConfigError, match=message):
        cross_validate(never, data, **options)


def test_too_few_samples_are_known_before_anything_is_trained() -> None:
    data = ArrayData(np.eye(6, dtype=np.float32), np.arange(6) % 2, test_fraction=0)
    with pytest.raises(DataError, match="folds: 8 folds need as many samples"):
        cross_validate(lambda view: pytest.fail("trained"), data, folds=8)


def test_repetitions_by_time_or_of_single_groups_would_be_the_same() -> None:
    columns = {"c": np.arange(30) % 5}
    inputs, targets = np.zeros((30, 2), np.float32), np.arange(30) % 2
    for split_by, folds in (({"time": "c"}, 3), ({"group": "c"}, "groups")):
        data = ArrayData(inputs, targets, columns=columns, split_by=split_by, test_fraction=0)
        with pytest.raises(ConfigError, match=r"repeats: folds .* are the same each time"):
            plan_folds(data, folds, repeats=2)  # type: ignore[arg-type]


def test_several_devices_are_left_to_the_command() -> None:
    trainer = {**TRAINER, "devices": 2, "strategy": "ddp"}
    with pytest.raises(ConfigError, match="`lightning cross_validate` takes several"):
        cross_validate(make, IrisData(), folds=2, trainer=trainer)


def test_a_training_that_diverges_is_no_score() -> None:
    broken = Predictions(
        "binary",
        ["a", "b"],
        ["0", "1"],
        np.array([0, 1]),
        np.full((2, 2), np.nan, np.float32),
        np.array([0, 0]),
    )
    with pytest.raises(DataError, match="not finite"):
        FoldResult.of(Fold(0, 0), "fold_0", broken, train=1, val=1, epochs=1, best_epoch=0, seconds=0.1)


# What is made of it


@pytest.fixture(scope="module")
def found() -> CrossValidation:
    return cross_validate(make, IrisData(), folds=3, trainer={**TRAINER, "max_epochs": 4})


def test_the_last_model_trains_as_long_as_the_median_fold(found: CrossValidation) -> None:
    assert found.epochs == int(np.median([result.best_epoch + 1 for result in found.folds]))


def test_missing_folds_are_said(found: CrossValidation) -> None:
    part = gather(found.plan, found.folds[:2], {"fold_2": "out of memory"})
    assert not part.record()["complete"]
    assert part.record()["failed"] == {"fold_2": "out of memory"}
    assert "fold_2 failed, and is missing in all numbers: out of memory" in fold_page(part, "Page").html()
    with pytest.raises(DataError, match="no fold came to its end:\n  fold_0: gone"):
        gather(found.plan, [], {"fold_0": "gone"})


def test_the_page_stands_alone(found: CrossValidation) -> None:
    html = fold_page(found, "Cross-validation: <iris>", {"folder": "final", "epochs": 3}).html()
    assert "&lt;iris&gt;" in html
    assert html.count("data:image/png;base64") == 2
    assert "http://" not in html and "https://" not in html  # noqa: PT018
    assert f"{found.scores['accuracy']:.4g}" in html
    first = found.folds[0]  # epochs are counted from 1, as in the sentences
    assert f'<td class="number">{first.epochs}</td><td class="number">{first.best_epoch + 1}</td>' in html
    assert "trained on all samples but the data&#x27;s own test split, for 3 epochs" in html


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_every_task_has_numbers_and_a_page(task: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = {"multiclass": (90,), "binary": (90,), "multilabel": (90, 3), "regression": (90, 2)}[task]
    targets = rng.random(shape) if task == "regression" else rng.integers(0, 3 if task == "multiclass" else 2, shape)
    data = ArrayData(rng.normal(size=(90, 4)).astype(np.float32), targets, target_type=task)
    found = cross_validate(make, data, folds=3, trainer=TRAINER, folder=tmp_path)
    assert found.predictions.task == task
    assert {"accuracy", "auroc", "log_loss"} <= set(found.scores) or {"mae", "rmse", "r2"} <= set(found.scores)
    assert len(Predictions.read(tmp_path / "oof_predictions.csv")) == len(found.predictions)
    assert HEADLINE[task] in fold_page(found, task).html()
    assert HEADLINE[task] in closing(found, tmp_path, None)
