"""`lightning check`: what a person should know about their data before they train on them; `fit` asks the same."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_only

from fulmen.cli.data import make_data
from fulmen.cli.findings import as_json, short_table, table, tally
from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError, DataError, message
from fulmen.data import SupervisedDataModule
from fulmen.data.findings import Finding

CheckBeforeFit = Literal["stop", "report", "skip"]
_LACKING = (
    "and has nothing to check it by; derive it from fulmen.data.SupervisedDataModule, or train without: lightning fit"
)


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning check`.

    Args:
        command: ``check``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
        SystemExit: With code 1, if the data have errors.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    invocation = Invocation.read(command, rest)
    if not invocation.class_path("data"):
        raise ConfigError("data: nothing is given; give --config FILE or --data CLASS")
    others = [a for a in invocation.typed if a.startswith("--") and a.split("=")[0].split(".")[0] != "--data"]
    if others:
        raise ConfigError(f"{others[0]}: only the data are looked at; allowed: --config, --format, --data, --data.KEY")
    data: SupervisedDataModule | None = None
    try:
        data = make_data(invocation, _LACKING)
        findings = data.check()
    except DataError as error:  # what cannot be read at all
        findings = [Finding("unusable", "error", message(error), (), 1, "")]
    samples = {split: len(dataset) for split, dataset in data.datasets.items()} if data is not None else {}
    print(as_json(findings, samples) if own.format == "json" else _report(findings, samples))
    if any(finding.severity == "error" for finding in findings):
        raise SystemExit(1)


def before_fit(data: Any, check: CheckBeforeFit, invocation: Invocation) -> None:
    """Looks at the data before any process is started and anything is trained.

    Processes that Lightning starts for further devices come here as well, and leave it to the first one.

    Args:
        data: A datamodule; one that is no :class:`SupervisedDataModule` has no checks.
        check: What errors do: ``stop``, or ``report`` and go on; ``skip`` looks at nothing.
        invocation: The command line of `fit`, for the advice.

    Raises:
        DataError: If there are errors, and they are to stop.
    """
    first: int = rank_zero_only.rank  # type: ignore[attr-defined]  # what Lightning keeps there
    if check == "skip" or first != 0 or not isinstance(data, SupervisedDataModule):
        return
    findings = [finding for finding in data.check() if finding.severity != "note"]
    errors = [finding for finding in findings if finding.severity == "error"]
    command = shlex.join(["lightning", "check", *_data_arguments(invocation)])
    if errors and check == "stop":
        raise DataError(
            f"the data have {tally(errors)}, and nothing was trained\n\n{table(errors)}\n\n"
            f"`{command}` lists every place; `--check report` trains all the same"
        )
    if findings:
        print(f"the data have {tally(findings)}; `{command}` says where, and what to do\n{short_table(findings)}\n")


def _data_arguments(invocation: Invocation) -> list[str]:
    """What `lightning check` is to be given, to look at the same data."""
    kept = [argument for path in invocation.configs for argument in ("--config", path)]
    wanted = False
    for argument in invocation.typed:
        if argument.startswith("--"):
            wanted = argument.split("=")[0].split(".")[0] == "--data"
        kept += [argument] if wanted else []
    return kept


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE [--format table|json] [--data.KEY VALUE ...]",
        description="Looks at the data of a config: files that cannot be decoded, duplicates within and across splits, "
        "contradicting labels, missing and rare classes, empty texts, columns that are constant, name rows or give "
        "the target away. Results are kept, so that only files that have changed are looked at again. "
        "`lightning fit` does the same first (`check: stop | report | skip`).",
        epilog="Exit codes: 0, also with warnings; 1 if the data have errors; 2 for a mistake in the config or the "
        "command.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="table; or json, with up to 1,000 places a finding"
    )
    return parser


def _report(findings: list[Finding], samples: dict[str, int]) -> str:
    sizes = ", ".join(f"{count:,} {split}" for split, count in samples.items())
    head = f"samples: {sizes}" if sizes else "the data cannot be read"
    if not findings:
        return f"{head}\nnothing was found"
    return f"{head}\n\n{table(findings)}\n\n{tally(findings)}"
