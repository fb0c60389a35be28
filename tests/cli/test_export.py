"""`lightning export`, and `lightning predict` with what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import csv
from tests.conftest import Cli, Result

from fulmen.cli.export import check_format, target
from fulmen.cli.main import main
from fulmen.core.errors import ConfigError

Write = Callable[..., Path]
CPU = ("--trainer.accelerator", "cpu")


def check_alike(one: Path, other: Path) -> None:
    """Two tables of predictions say the same."""
    found, expected = csv.read_csv(one), csv.read_csv(other)
    assert found.column_names == expected.column_names
    assert found.num_rows == expected.num_rows > 0
    for name in expected.column_names:
        if name.startswith("probability_"):
            np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), atol=1e-4)
        else:
            assert found[name].to_pylist() == expected[name].to_pylist()


def lightning(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where no plugin may be loaded."""
    environment = {**os.environ, "FULMEN_PLUGINS": "none"}
    command = [sys.executable, "-m", "fulmen.cli", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `lightning predict` in this process, with what is typed and no more."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main(["predict", *map(str, arguments)])
        return Result(code, *capsys.readouterr())

    return run


def write_table(path: Path, rows: int = 80) -> Path:
    rng = np.random.default_rng(0)
    lines = ["id,age,city,member,kind"]
    for i in range(rows):
        age, city = rng.normal(40, 9), rng.choice(["Ulm", "Bonn", "Köln", ""])
        lines += [f"p{i},{age if i % 9 else ''},{city},{rng.choice(['yes', 'no'])},{'good' if age > 40 else 'bad'}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trained(cli: Cli, write_config: Write, tmp_path: Path) -> Path:
    """The run of a model with a plugin's activation, on a table."""
    model = {"class_path": "MLPModule", "init_args": {"hidden_features": [8], "activation": "maxout"}}
    options = {"train": str(write_table(tmp_path / "rows.csv")), "target": "kind", "id_column": "id"}
    config = write_config(
        model=model, data={"class_path": "TabularData", "init_args": options}, trainer={"max_epochs": 2}
    )
    made = cli("fit", "--config", config, *CPU)
    assert made.code == 0, made.err
    return next(Path("runs").glob("*/version_0")).resolve()


def check_mistakes(predict: Callable[..., Result], model: str) -> None:
    """Wrong input is named; more columns, new categories and missing cells are none."""
    Path("short.csv").write_text("age,member\n3,yes\n")
    Path("wrong.csv").write_text("age,city,member\nold,Ulm,yes\n")
    Path("new.csv").write_text("more,member,city,age\nx,yes,Rome,3\nx,no,Ulm,\n")
    for arguments, message in (
        (("--data", "absent.csv"), "there is no file 'absent.csv'"),
        (("--data", "short.csv"), "unknown column 'city'"),
        (("--data", "wrong.csv"), "column 'age' holds 'old', and should be a number"),
        (("--data", "new.csv", "--output", "x.txt"), "must end in .csv or .parquet"),
        (("--data", "new.csv", "--batch_size", "0"), "batch_size: 0 is out of range"),
    ):
        found = predict("--model", model, *arguments)
        assert found.code == 2
        assert message in found.error
    found = predict("--model", model, "--data", "new.csv", "--output", "new.parquet")
    assert found.code == 0, found.err
    assert Path("new.parquet").is_file()


@pytest.mark.slow
def test_export_and_predict_without_plugins(
    cli: Cli, predict: Callable[..., Result], trained: Path, tmp_path: Path
) -> None:
    made = cli("export", "--ckpt_path", trained, "--to", "torch", "--calibrate", "--samples", "9", *CPU)
    assert made.code == 0, made.err
    assert "parity      9 val samples" in made.out
    assert "temperature" in made.out
    assert "gives       prediction int64 (N)" in made.out
    about = json.loads((trained / "model.pt2.json").read_text(encoding="utf-8"))
    assert about["checkpoint"] == "best.ckpt"
    assert any(name.startswith("val/") for name in about["metrics"])
    assert about["versions"]["fulmen-activations"]

    made = cli("export", "--ckpt_path", trained, "--to", "onnx,torch,safetensors", "--out", "out", *CPU)
    assert made.code == 0, made.err
    config = trained / "config.yaml"
    wanted = cli("predict", "--config", config, "--ckpt_path", trained, "--output", "wanted.csv", *CPU,
                 "--data.predict", tmp_path / "rows.csv")  # fmt: skip
    assert wanted.code == 0, wanted.err
    for ending in ("onnx", "pt2"):
        found = lightning(
            "predict", "--model", f"out/model.{ending}", "--data", "rows.csv", "--output", f"{ending}.csv",
            folder=Path.cwd(),
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        assert "(80 samples)" in found.stdout
        check_alike(Path(f"{ending}.csv"), Path("wanted.csv"))
    here = predict("--model", "out/model.safetensors", "--data", "rows.csv", "--output", "weights.csv")
    assert here.code == 0, here.err
    check_alike(Path("weights.csv"), Path("wanted.csv"))
    refused = lightning("predict", "--model", "out/model.safetensors", "--data", "rows.csv", folder=Path.cwd())
    assert refused.returncode == 2
    assert "error: " in refused.stderr
    assert "maxout" in refused.stderr
    check_mistakes(predict, "out/model.onnx")


def test_mistakes_of_export(cli: Cli, tmp_path: Path) -> None:
    for arguments, message in (
        (("--to", "onxn"), "unknown format 'onxn'; did you mean 'onnx'?"),
        (("--to", "onnx,torch", "--out", "model.onnx"), "is one file, and there are 2 formats"),
        (("--samples", "0"), "samples: 0 is out of range"),
        (("--ckpt_path", "none", "--config", "absent.yaml"), "there is no config file"),
        (("--ckpt_path", str(tmp_path / "nowhere.ckpt")), "there is no file or folder"),
        ((), "ckpt_path: nothing is given; write --ckpt_path RUN"),
    ):
        found = cli("export", *arguments)
        assert found.code == 2
        assert message in found.error
    with pytest.raises(ConfigError, match=r"ends in \.pt2; a file of `--to onnx` ends in \.onnx"):
        target(Path("model.pt2"), Path("best.ckpt"), "onnx")
    assert check_format(" torch ") == "torch"


def test_predicting_loads_neither_lightning_nor_plugins(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom fulmen.cli.main import main\nmain(['predict', '--model', 'absent.onnx', '--data', 'x'])\n"
        "import fulmen.workflows.exporting.reading, fulmen.workflows.exporting.onnx_file\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'torchmetrics', 'timm'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"
    assert "there is no file 'absent.onnx'" in found.stderr


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_what_to_install(library: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else find(name))
    found = cli("export", "--ckpt_path", "x")
    assert found.code == 2
    assert 'pip install "fulmen[export]"' in found.error
    assert library in found.error
