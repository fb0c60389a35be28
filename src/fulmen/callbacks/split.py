"""Which sample was in which split."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer


class SplitWriter(Callback):
    """Writes the split when training starts, where the datamodule has ``write_split``.

    Args:
        path: A CSV file, for ``data.split_by: {file: PATH}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes it, in one process."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and hasattr(data, "write_split"):
            data.write_split(self.path)
