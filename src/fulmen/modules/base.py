"""The only training step of the house."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fulmen.core import provenance
from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError
from fulmen.core.restoring import restoring
from fulmen.core.spec import (
    LossSpec,
    MetricSpecs,
    OptimizerSpec,
    RegularizerSpecs,
    ScheduleSpec,
    at,
    build,
    check,
    recording,
)
from fulmen.modules.acceleration import channels_last, compile_network, put_channels_last
from fulmen.modules.optimizers import LayerRates, learning_rates, make_optimizer, make_schedule
from fulmen.modules.preflight import check_before_fit
from fulmen.modules.regularization import Regularization
from fulmen.modules.saving import check_loadable, class_path, keep_primitives, module_component
from fulmen.nn.regularizers import Regularizer
from fulmen.tasks import Task, make_task
from fulmen.tasks.base import TaskName
from fulmen.tasks.meter import Meter

Stage = Literal["train", "val", "test"]


class Evaluated(NamedTuple):
    """What came of a batch of validation or test, for callbacks that keep it.

    Attributes:
        logits: ``(N, num_outputs)``, padding left out.
        targets: ``N`` of them, as the data give them.
        index: ``(N,)``, see :class:`fulmen.Batch`; ``None`` where rows are not known.
        padded: Whether the batch is nothing but padding.
    """

    logits: Tensor
    targets: Tensor
    index: Tensor | None  # type: ignore[assignment]  # hides tuple.index
    padded: bool


class SupervisedModule(LightningModule):
    """A network that learns targets from inputs. Subclasses override :meth:`build_network` and nothing else.

    ``build_network`` runs inside this constructor and reads the subclass's own arguments from
    ``self.hparams``. Every argument is a name, a number, a list or a mapping, so that
    ``load_from_checkpoint`` works with torch's safe loading; an object (a loss of one's own, say) works too,
    and must then be given again when the checkpoint is loaded.

    Args:
        input_shape: Shape of one sample without the batch, such as ``[64]`` or ``[3, 224, 224]``. From the
            data on the command line.
        num_outputs: Number of classes, labels or values. From the data on the command line.
        class_names: Name of each class, in order. From the data on the command line.
        target_type: What the data's targets are, one of the tasks. From the data on the command line.
        task: ``multiclass``, ``binary``, ``multilabel`` or ``regression``; ``None`` takes ``target_type``.
        loss: Spec of the loss; ``None`` takes the task's own.
        metrics: Specs of the metrics; ``None`` takes the task's own.
        optimizer: Spec of the optimizer.
        schedule: Spec of the learning-rate schedule; ``None`` keeps the rate.
        regularizers: Specs of the regularizers.
        compile: Whether ``fit`` compiles the network with ``torch.compile``: slow first steps, often faster ones after.
        channels_last: Whether images and the weights of convolutions have the channels last in memory: the same
            numbers but for rounding, often faster on GPUs and CPUs.

    Raises:
        ConfigError: If an argument cannot work.

    Example:
        >>> class Linear(SupervisedModule):
        ...     def __init__(self, bias: bool = True, **kwargs):
        ...         super().__init__(**kwargs)
        ...     def build_network(self):
        ...         return nn.Linear(self.input_shape[0], self.num_outputs, bias=self.hparams.bias)
        >>> Linear(bias=False, input_shape=[4], num_outputs=3)(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        input_shape: Sequence[int] | None = None,
        num_outputs: int | None = None,
        class_names: list[str] | None = None,
        target_type: TaskName | None = None,
        task: TaskName | None = None,
        loss: LossSpec = None,
        metrics: MetricSpecs = None,
        optimizer: OptimizerSpec = {"name": "adam", "lr": 1e-3},  # noqa: B006 (never changed)
        schedule: ScheduleSpec = None,
        regularizers: RegularizerSpecs = None,
        compile: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():  # Lightning warns of a module among the arguments; the next line drops it
            warnings.filterwarnings("ignore", ".*is an instance of `nn.Module`.*")
            self.save_hyperparameters()
        self._given = dict(self.hparams)
        self._objects = keep_primitives(self)
        if num_outputs is None:
            raise ConfigError("num_outputs: give the number of classes, labels or values (the data did not)")
        self._input_shape = None if input_shape is None else tuple(input_shape)
        self._optimizer, self._schedule = optimizer, schedule
        with recording() as used:
            used += [*module_component(type(self)), *check(type(self), self.hparams)]
            self.task: Task = make_task(task or target_type or "multiclass", num_outputs, class_names, loss, metrics)
            self.regularizers = self._make_regularizers(regularizers or [])
            self._regularization = Regularization(self.regularizers)
            self.network = self._make_network()
        self.evaluated: Evaluated | None = None
        self._compile, self._channels_last = compile, channels_last
        if channels_last:
            put_channels_last(self.network, self.input_shape)
        self._used = used
        self.meters = nn.ModuleDict({f"{stage}_meter": Meter(self.task) for stage in ("train", "val", "test")})

    # What a subclass overrides

    def build_network(self) -> nn.Module:
        """Makes the network: ``(N, *input_shape)`` to ``(N, num_outputs)``.

        May use :attr:`input_shape`, :attr:`num_outputs` and ``self.hparams``.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override build_network(self) and return an nn.Module")

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, a scalar, without penalties.

        Args:
            logits: ``(N, num_outputs)``.
            targets: As the data give them.
        """
        return self.task.loss(logits, targets)

    def step(self, batch: Any, stage: Stage) -> Tensor | None:
        """One batch through network, loss and metrics; the only step of training, validation and test.

        Args:
            batch: What :meth:`fulmen.Batch.of` reads.
            stage: Which of them it is.

        Returns:
            The loss, a scalar; ``None`` where the batch holds only padding.
        """
        batch = Batch.of(batch)
        if batch.targets is None:
            raise ConfigError(f"a batch of the {stage} data has no targets; only `predict` does without")
        if stage == "train":
            loss, logits, penalty = self.training_loss(batch)
            if not self._regularization.replaying:
                self.meter(stage).update(loss.detach(), logits.detach(), batch.targets)
            return loss if penalty is None else loss + penalty
        logits, targets, index = self(batch.inputs), batch.targets, batch.index
        padded = False
        if index is not None and self.trainer.world_size > 1:
            real = index != PADDING
            padded = not bool(real.any())
            if not padded:
                logits, targets, index = logits[real], targets[real], index[real]
        loss = self.compute_loss(logits, targets)
        self.meter(stage).update(loss.detach(), logits.detach(), targets, padded)
        self.evaluated = Evaluated(logits.detach(), targets, index, padded)
        return None if padded else loss

    # What a subclass uses

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """A training batch through network, loss and the regularizers of batches.

        Args:
            batch: Inputs and targets.

        Returns:
            The loss without penalties, the logits ``(N, num_outputs)``, and the penalty that is to be added to the
            loss, if there is any.
        """
        regularization = self._regularization
        batch = regularization.before_forward(self, batch)
        logits = self(batch.inputs)
        loss = regularization.loss(self, batch, logits)
        if loss is None:
            assert batch.targets is not None
            loss = self.compute_loss(logits, batch.targets)
        return loss, logits, regularization.batch_penalty(self, batch, logits)

    def make(self, network: Callable[..., nn.Module]) -> nn.Module:
        """Makes a network from this module's own arguments, for :meth:`build_network`.

        Args:
            network: A class or function whose arguments are called like this module's; ``input_shape`` and
                ``num_outputs`` are filled in as well.
        """
        taken = inspect.signature(network).parameters
        values = {**self._given, "num_outputs": self.num_outputs}
        if "input_shape" in taken:
            values["input_shape"] = self.input_shape
        return network(**{name: values[name] for name in taken if name in values})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample without the batch.

        Raises:
            ConfigError: If neither the caller nor the data gave it.
        """
        if self._input_shape is None:
            raise ConfigError("input_shape: give the shape of one sample, such as [64] or [3, 224, 224]")
        return self._input_shape

    @property
    def num_outputs(self) -> int:
        """Width of the network's output."""
        return self.task.num_outputs

    def meter(self, stage: Stage) -> Meter:
        """The running loss and metrics of a stage."""
        meter = self.meters[f"{stage}_meter"]
        assert isinstance(meter, Meter)
        return meter

    def logged_names(self) -> set[str]:
        """Every name that training and validation log, for ``monitor``."""
        names = {f"{stage}/{key}" for stage in ("train", "val") for key in self.meter(stage).names()}
        return names | {"train/loss_step"} | ({"train/penalty"} if self.regularizers else set())

    def logs_more(self) -> bool:
        """Whether a subclass may log under further names, because it overrides a hook or the step."""
        mro = type(self).__mro__
        parents = [c for c in mro[: mro.index(SupervisedModule)] if not c.__module__.startswith("fulmen.")]
        quiet = ("__", "build_network", "compute_loss", "configure_", "forward")
        return any(
            callable(value) and not name.startswith(quiet) for parent in parents for name, value in vars(parent).items()
        )

    # Lightning's hooks

    def __setattr__(self, name: str, value: Any) -> None:
        """As ``nn.Module``'s; but Lightning notes the running hook here 40 times a step, which need no look-up."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Lets the task learn from the training targets; a checkpoint that is resumed has the last word."""
        targets = getattr(self.trainer.datamodule, "training_targets", None)  # type: ignore[attr-defined]
        if stage == "fit" and targets is not None and (found := targets()) is not None:
            self.task.learn(found)

    def on_fit_start(self) -> None:
        """Checks what would fail later, and lets the regularizers put their hooks on layers."""
        check_before_fit(self, self.trainer)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.task.unweigh()
        if getattr(data, "balance", None) == "class_weights":
            self.task.weigh(data.class_counts())
        self._regularization.start(self)
        if self._compile:
            compile_network(self.network, self.device)

    def on_fit_end(self) -> None:
        """Removes the regularizers' hooks, and prints what they report."""
        self._regularization.report(self)
        self._regularization.stop()

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, *input_shape)`` to ``(N, num_outputs)``."""
        return self.task.outputs(self.network(channels_last(inputs) if self._channels_last else inputs))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """See :meth:`step`."""
        self._regularization.keep(batch, batch_idx)
        loss = self.step(batch, "train")
        if loss is not None and self._is_log_step() and not self._regularization.replaying:
            penalty = self._regularization.penalty
            self.log("train/loss_step", loss.detach() if penalty is None else loss.detach() - penalty, prog_bar=True)
        return loss

    def _is_log_step(self) -> bool:
        steps: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return self.global_step == 0 or (self.global_step + 1) % steps == 0  # as Lightning's logger connector

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """See :meth:`step`."""
        self.step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """See :meth:`step`."""
        self.step(batch, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Predictions of a batch: what the task decodes, and ``index`` where the batch has it."""
        batch = Batch.of(batch)
        decoded = self.task.decode(self(batch.inputs))
        if batch.index is None:
            return decoded
        real = batch.index != PADDING
        return {key: value[real] for key, value in {**decoded, "index": batch.index}.items()}

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's loss and metrics."""
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        """Logs the epoch's loss and metrics."""
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        """Logs the loss and the metrics."""
        self._log_epoch("test")

    def _log_epoch(self, stage: Stage) -> None:
        if self.trainer.sanity_checking:  # a few samples, perhaps of one class: nothing to score
            self.meter(stage).reset()
            return
        values = self.meter(stage).compute()
        self.meter(stage).reset()
        if stage == "train" and not torch.isfinite(values["loss"]):
            rank_zero_info(
                f"Stopped: the training loss of epoch {self.current_epoch} is {values['loss'].item()}. Lower the "
                "learning rate, clip gradients (trainer.gradient_clip_val: 1.0), or look for extreme inputs."
            )
            self.trainer.should_stop = True
        # every process has the same values already; sync_dist only tells Lightning that this is meant
        named = {f"{stage}/{key}": value for key, value in values.items()}
        self.log_dict(named, prog_bar=stage == "val", sync_dist=True, on_epoch=True, on_step=False)

    def layer_rates(self, lr: float) -> LayerRates:
        """The parameters whose learning rate is their own, or that are trained only later; here none.

        Args:
            lr: The optimizer's rate.
        """
        return {}

    def configure_optimizers(self) -> Any:
        """The optimizer and the schedule of their specs."""
        # A fused step may unscale gradients inside: too late for penalties in float16 and, says Lightning, for clips.
        trainer = self.trainer
        mixed = isinstance(trainer.precision_plugin, MixedPrecision)
        unscales = mixed and (trainer.precision == "16-mixed" or bool(trainer.gradient_clip_val))
        optimizer = make_optimizer(self, self._optimizer, allow_fused=not unscales, layer_rates=self.layer_rates)
        if self._schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": make_schedule(optimizer, self._schedule, self.trainer)}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lets the regularizers act on complete gradients (see :mod:`fulmen.nn.regularizers`)."""
        penalty = self._regularization.before_step(self, optimizer)
        if penalty is not None and self._is_log_step():
            self.log("train/penalty", penalty)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, then the regularizers that act after the step."""
        super().optimizer_step(*args, **kwargs)
        if self.regularizers:
            rates = learning_rates(self)
            for regularizer in self.regularizers:
                regularizer.after_step(self, rates)

    # Saving and loading

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Writes what the model was made of."""
        checkpoint["fulmen"] = {
            "class_path": class_path(type(self)),
            "components": self.components,
            "objects": self._objects,
            "regularizers": self._regularization.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Gives the regularizers their states back."""
        self._regularization.load_state_dict(checkpoint.get("fulmen", {}).get("regularizers", []))

    @property
    def components(self) -> list[dict[str, Any]]:
        """What the model was made of (kind, name, distribution and version of each component)."""
        return provenance.records(self._used)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Self:
        """Loads a model, with torch's safe loading; checks first that its plugins are here.

        Args:
            checkpoint_path: Path of a checkpoint that was made from the command line or from Python.
            *args: As Lightning's.
            **kwargs: As Lightning's; also arguments of the constructor that replace the saved ones.

        Raises:
            PluginError: If a plugin is missing, or has changed its major version.
            CheckpointError: If an argument was an object, which no checkpoint holds, and is not given again.
        """
        kwargs.setdefault("weights_only", True)
        if isinstance(checkpoint_path, str | Path) and Path(checkpoint_path).is_file():
            check_loadable(cls, Path(checkpoint_path), given=set(kwargs))
        with restoring():
            return super().load_from_checkpoint(checkpoint_path, *args, **kwargs)

    def _make_regularizers(self, specs: Sequence[object]) -> list[Regularizer]:
        made = []
        for i, spec in enumerate(specs):
            with at(f"regularizers[{i}]"):
                made.append(build("regularizers", spec))
        return made

    def _make_network(self) -> nn.Module:
        try:
            return self.build_network()
        except AttributeError as error:
            error.add_note(
                "build_network() runs inside SupervisedModule.__init__: read the constructor's arguments from "
                "self.hparams, not from attributes that are set after super().__init__()."
            )
            raise
