"""The split that is written when a training starts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from tests.conftest import Cli
from torch.utils.data import DataLoader, TensorDataset

from fulmen.callbacks import SplitWriter
from fulmen.data import IrisData
from fulmen.data.split_files import read_split
from fulmen.modules import MLPModule

QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1,
}  # fmt: skip


def module() -> MLPModule:
    return MLPModule([4], input_shape=[4], num_outputs=3)


def test_the_split_is_written_before_training(tmp_path: Path) -> None:
    data, path = IrisData(), tmp_path / "split.csv"
    Trainer(callbacks=[SplitWriter(path)], **QUIET).fit(module(), data)
    table = read_split(path).to_pylist()
    assert len(table) == 150
    for split, dataset in data.datasets.items():
        rows = dataset.rows.tolist()  # type: ignore[attr-defined]
        assert [int(line["sample"]) for line in table if line["split"] == split] == rows


def test_other_data_have_no_split_to_write(tmp_path: Path) -> None:
    class Other(LightningDataModule):
        def train_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.rand(8, 4), torch.arange(8) % 3), 4)

        val_dataloader = train_dataloader

    for data in (Other(), None):
        trainer = Trainer(callbacks=[SplitWriter(tmp_path / "split.csv")], **QUIET)
        loader = Other().train_dataloader()
        trainer.fit(
            module(), **({"datamodule": data} if data else {"train_dataloaders": loader, "val_dataloaders": loader})
        )
        assert trainer.global_step == 2
        assert not (tmp_path / "split.csv").exists()


@pytest.mark.slow
def test_one_process_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    Trainer(callbacks=[SplitWriter(path)], strategy="ddp_fork", devices=2, **QUIET).fit(module(), IrisData())
    assert len(read_split(path)) == 150


def test_a_run_keeps_its_split_and_another_takes_it_over(cli: Cli, write_config: Any, tmp_path: Path) -> None:
    path = write_config()
    assert cli("fit", "--config", path).code == 0
    first = tmp_path / "runs" / "small" / "version_0" / "split.csv"
    again = ["--data.split_seed", 5, "--data.split_by", f"{{file: {first}}}"]
    assert cli("fit", "--config", path, *again).code == 0
    assert cli("fit", "--config", path, *again[:2]).code == 0
    texts = [sorted((first.parents[1] / f"version_{i}" / "split.csv").read_text().splitlines()) for i in range(3)]
    assert texts[1] == texts[0] != texts[2]


def test_a_run_without_its_split_file_says_so(cli: Cli, write_config: Any) -> None:
    result = cli("fit", "--config", write_config(), "--data.split_by", "{file: gone.csv}")
    assert result.code != 0
    assert "split_by: there is no file 'gone.csv'" in result.error
