"""Packages that other people could have written: built as wheels and installed beside the environment, not into it."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Lightning = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Package:
    """A distribution with one module.

    Attributes:
        name: Name of the distribution; the module's is the same with underscores.
        code: The module.
        entry_points: Group -> name -> value.
    """

    name: str
    code: str
    entry_points: Mapping[str, Mapping[str, str]]
    version: str = "1.0"
    requires: Sequence[str] = field(default=("fulmen>=0.1",))

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    def wheel(self, folder: Path) -> Path:
        """Writes the wheel that a build tool would make (PyPA's binary distribution format)."""
        info = f"{self.module}-{self.version}.dist-info"
        requires = "".join(f"Requires-Dist: {line}\n" for line in self.requires)
        groups = [
            "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
            for group, entries in self.entry_points.items()
        ]
        files = {
            f"{self.module}.py": self.code,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n{requires}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fulmen-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": "\n\n".join(groups) + "\n",
        }
        record = "".join(f"{name},{_digest(text)},{len(text.encode())}\n" for name, text in files.items())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.module}-{self.version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                wheel.writestr(name, text)
        return path

    def install(self, target: Path) -> Path:
        """Installs the wheel into a folder, as ``pip install --target --no-deps`` does with a pure one."""
        with zipfile.ZipFile(self.wheel(target / ".wheels")) as wheel:
            wheel.extractall(target)
        return target


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


ACME_CODE = '''
"""What a person can plug in with one file."""

import torch
from torch import Tensor, nn

from fulmen import MLP, Regularizer, SupervisedModule
from fulmen.core.spec import ActivationSpec


class Rocket(nn.Module):
    def __init__(self, thrust: float = 1.0) -> None:
        super().__init__()
        self.thrust = thrust

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.thrust * x)


class Spread(Regularizer):
    def penalty(self, module: nn.Module) -> Tensor:
        return self.weight * torch.stack([p.var() for p in self.select(module)]).sum()


class AcmeModule(SupervisedModule):
    def __init__(self, width: int = 8, activation: ActivationSpec = "relu", **kwargs) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        return MLP(self.input_shape, self.num_outputs, [self.hparams.width], activation=self.hparams.activation)
'''
ACME_ENTRIES = {
    "fulmen.activations": {"rocket": "acme_fulmen:Rocket"},
    "fulmen.regularizers": {"spread": "acme_fulmen:Spread"},
}
RIVAL_CODE = "from torch import nn\n\nclass Rocket(nn.ReLU):\n    pass\n"


def _activation(package: str, name: str) -> dict[str, dict[str, str]]:
    return {"fulmen.activations": {name: f"{package.replace('-', '_')}:{name.title()}"}}


@pytest.fixture(scope="session")
def acme() -> Callable[..., Package]:
    """``acme-fulmen`` of a version: an activation, a regularizer and a module in some 20 lines."""
    return lambda version="1.0": Package("acme-fulmen", ACME_CODE, ACME_ENTRIES, version)


@pytest.fixture(scope="session")
def rival() -> Package:
    """A package with an activation of the same name as acme's."""
    return Package("rival-fulmen", RIVAL_CODE, _activation("rival-fulmen", "rocket"), "2.1")


@pytest.fixture(scope="session")
def broken() -> Package:
    """A package whose module raises on import."""
    code = "raise OSError('libcombustion.so: cannot open shared object file')\n"
    return Package("broken-fulmen", code, _activation("broken-fulmen", "fizzle"), "0.3")


@pytest.fixture(scope="session")
def futuristic() -> Package:
    """A package for a fulmen that does not exist yet; importing it would be noticed."""
    code = "raise SystemExit('imported')\n"
    entries = _activation("futuristic-fulmen", "warp")
    return Package("futuristic-fulmen", code, entries, "4.0", requires=["fulmen>=999"])


@pytest.fixture(scope="session")
def lightning() -> Lightning:
    """Runs the command ``lightning`` in a process of its own, as a person does."""
    script = Path(sys.executable).with_name("lightning")

    def run(
        *arguments: str, cwd: Path, plugins: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("FULMEN_") and k != "PYTHONPATH"}
        if plugins is not None:
            env["PYTHONPATH"] = str(plugins)
        return subprocess.run(
            [str(script), *arguments], cwd=cwd, env={**env, **environ}, capture_output=True, text=True, check=False
        )

    return run
