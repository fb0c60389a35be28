"""What each augmentation and regularizer does on real data: the tables in the plugins' READMEs.

Trains with the `lightning` command, three seeds each, and prints one table for each set of data:

    uv run python tests/benchmarks/real_data.py digits_mlp digits_cnn --processes 2
    uv run python tests/benchmarks/real_data.py ants_bees --data ../shared/data --accelerator gpu
    uv run python tests/benchmarks/real_data.py sst2 --kinds augment

The configs are plain on purpose: no dropout, no label smoothing, nothing but what the row says. Scores are
accuracies on the test split of the digits, and on the validation folder of ants/bees, after the last epoch. Those of
sst2 are of the shipped config without early stopping, on the test file, from the epoch that validated best.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

AUGMENTATIONS: list[Any] = [
    *("flip", "rotate", "translate", "scale", "shear", "crop", "resized_crop", "color_jitter", "blur", "noise"),
    *("cutout", "grid_distortion", "elastic", "rand_augment", "trivial_augment", "light", "medium", "strong"),
    *({"name": name, "flips": "none"} for name in ("light", "medium", "strong")),
]
TEXT_AUGMENTATIONS: list[Any] = [
    *("swap", "delete", "crop", "insert", "keyboard", "ocr", "spelling", "split"),
    *({"name": name, "p": 0.3} for name in ("swap", "delete")),
    ["swap", "delete", {"name": "spelling", "p": 0.05}],
]
REGULARIZERS: list[dict[str, Any]] = [
    {"name": "l1", "weight": 1e-4},
    {"name": "l2", "weight": 1e-3},
    {"name": "group_lasso", "weight": 1e-3},
    {"name": "orthogonal", "weight": 1e-3},
    {"name": "srip", "weight": 1e-2},
    {"name": "spectral_norm", "weight": 1e-2},
    {"name": "hoyer", "weight": 1e-5},
    {"name": "max_norm"},
    {"name": "l2_sp", "weight": 1e-2},
    {"name": "activity_l1", "weight": 1e-5},
    {"name": "activity_l2", "weight": 1e-5},
    {"name": "confidence_penalty", "weight": 0.1},
    {"name": "jacobian", "weight": 1e-2},
    {"name": "gradient_penalty", "weight": 0.1},
    {"name": "manifold_mixup"},
    {"name": "sam"},
]
_DIGITS = {"class_path": "DigitsData", "init_args": {"batch_size": 64, "val_fraction": 0.1, "test_fraction": 0.2}}
_ADAM = {"optimizer": {"name": "adam", "lr": 1e-3}, "schedule": {"name": "cosine", "warmup_epochs": 1}}


def configs(data: Path) -> dict[str, dict[str, Any]]:
    """The plain config of each set."""
    common: dict[str, Any] = {"early_stopping": None, "logger": None, "checkpoint": {"monitor": None}}
    bees = {
        "root": str(data / "hymenoptera" / "hymenoptera_data"),
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "image_size": 160,
        "batch_size": 32,
        "num_workers": 0,
    }
    transfer = {
        "backbone": "mobilenetv2_100",
        "backbone_options": {"pad_type": "same"},
        "weights": str(data / "mobilenetv2_100" / "mobilenetv2_100_imagenet_from_tflite.pth"),
        "freeze": "all",
        "optimizer": {"name": "adam", "lr": 1e-3},
    }
    sst2 = yaml.safe_load((Path(__file__).parents[2] / "configs" / "sst2_text_cnn.yaml").read_text())
    files = {"train": "train", "val": "dev", "test": "test"}
    sst2["data"]["init_args"] |= {s: str(data / "sst2" / "data" / "SST2" / f"{f}.tsv") for s, f in files.items()}
    return {
        "sst2": {**sst2, "early_stopping": None, "logger": None},
        "digits_mlp": {
            **common,
            "model": {"class_path": "MLPModule", "init_args": {"hidden_features": [256, 128], **_ADAM}},
            "data": _DIGITS,
            "trainer": {"max_epochs": 40},
        },
        "digits_cnn": {
            **common,
            "model": {"class_path": "CNNModule", "init_args": {"channels": [16, 32], "convolutions": 2, **_ADAM}},
            "data": _DIGITS,
            "trainer": {"max_epochs": 20},
        },
        "ants_bees": {
            **common,
            "model": {"class_path": "TransferModule", "init_args": transfer},
            "data": {"class_path": "ImageFolderData", "init_args": bees},
            "trainer": {"max_epochs": 3},
        },
    }


def _title(spec: Any) -> str:
    if isinstance(spec, list):
        return " and ".join(map(_title, spec))
    if spec is None or isinstance(spec, str):
        return spec or "none"
    return spec["name"] + "".join(f", {key}: {value}" for key, value in spec.items() if key not in ("name", "weight"))


def train(job: tuple[str, str, Any, int, dict[str, Any], str]) -> tuple[str, str, str, float, float]:
    """One training; gives the set, the kind, the row's name, the accuracy in percent and the processor's seconds."""
    name, kind, spec, seed, config, accelerator = job
    import fulmen.cli.run  # noqa: F401 (its seconds are not the training's)
    from fulmen.cli.main import main

    given = json.loads(json.dumps(config))
    given["seed_everything"] = seed
    if kind == "augment":
        given["data"]["init_args"]["augment"] = spec if isinstance(spec, list) else [spec]
    elif kind == "regularizers":
        given["model"]["init_args"]["regularizers"] = [spec]
    given["check"] = "skip"  # of the data: its seconds are not the training's
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": accelerator, "devices": 1}
    given["trainer"].update(quiet)
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["FULMEN_RUN_FOLDER"] = ""
        Path("job.yaml").write_text(json.dumps(given))  # JSON is YAML
        sys.argv = ["lightning"]
        start = time.process_time()  # the clock's would count what else the machine does
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(["fit", "--config", "job.yaml"])
        seconds = time.process_time() - start
        found = list(Path().glob("runs/job/*/*_metrics.json"))
        os.chdir(home)
        if code or not found:
            raise RuntimeError(f"{name} {kind} {spec}: {said.getvalue()[-2000:]}")
        scores = json.loads((Path(folder) / found[0]).read_text())
    accuracy = next(value for key, value in scores.items() if key.endswith("/accuracy"))
    return name, kind, _title(spec), 100 * accuracy, seconds


def main() -> None:
    """Runs all jobs and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", choices=["digits_mlp", "digits_cnn", "ants_bees", "sst2"])
    parser.add_argument("--kinds", nargs="+", default=["augment", "regularizers"], choices=["augment", "regularizers"])
    parser.add_argument("--rows", nargs="+", help="only these augmentations and regularizers, and none")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for the single results")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = {"augment": AUGMENTATIONS, "regularizers": REGULARIZERS}
    rows_of = {"sst2": {"augment": TEXT_AUGMENTATIONS, "regularizers": REGULARIZERS}}
    everything = configs(given.data.resolve())
    jobs = [
        (name, kind, spec, seed, everything[name], given.accelerator)
        for name in given.sets
        for kind, specs in [("plain", [None]), *((kind, rows_of.get(name, rows)[kind]) for kind in given.kinds)]
        for spec in specs
        if spec is None or given.rows is None or _title(spec) in given.rows
        for seed in given.seeds
    ]
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as pool:
        results = []
        for result in pool.map(train, jobs):
            results.append(result)
            print(f"{result[0]} {result[2]}: {result[3]:.2f} %, {result[4]:.0f} s", file=sys.stderr, flush=True)
    if given.out:
        given.out.write_text(json.dumps(results))
    heads = [
        "",
        f"accuracy % (mean ± sd of {len(given.seeds)} seeds)",
        "lowest to highest",
        "seconds of one core",
        "an epoch",
    ]
    for name in given.sets:
        print(f"\n{name}\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for kind, title in dict.fromkeys((r[1], r[2]) for r in results if r[0] == name):
            scores = [r[3] for r in results if r[:3] == (name, kind, title)]
            seconds = statistics.median(r[4] for r in results if r[:3] == (name, kind, title))
            spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
            print(
                f"| {title} | {statistics.mean(scores):.1f} ± {spread:.1f} | {min(scores):.1f} to {max(scores):.1f} "
                f"| {seconds:.0f} | {seconds / everything[name]['trainer']['max_epochs']:.1f} |"
            )


if __name__ == "__main__":
    main()
