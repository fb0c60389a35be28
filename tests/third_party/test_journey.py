"""From `lightning plugins new` to a model that others load: what an author of a plugin and their users type."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFIG = """
model:
  class_path: MLPModule
  init_args: {hidden_features: [8], activation: {name: bump, slope: 2.0}}
data: {class_path: DigitsData}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""
LOAD = (
    "from fulmen import MLPModule; print(MLPModule.load_from_checkpoint('runs/bump/version_0/checkpoints/best.ckpt'))"
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv")
    if found is None:
        pytest.skip("uv is not there to make an environment with")
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, uv: str) -> Path:
    """An environment of its own that sees the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder


@pytest.fixture(scope="module")
def run(environment: Path, uv: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command in that environment: `lightning`, `pip`, or `python`."""
    home = tmp_path_factory.mktemp("home")
    python = str(environment / "bin" / "python")
    programs = {
        "lightning": [python, "-c", "import sys; from fulmen.cli.main import main; sys.exit(main())"],
        "pip": [uv, "pip"],
        "python": [python],
    }
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FULMEN_")}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--python", python] if program == "pip" else []
        command = [*programs[program], *arguments[:1], *options, *arguments[1:]]
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr or program == "python", done.stderr
        return done

    return run


def test_journey_of_a_plugin(run: Run, tmp_path: Path) -> None:
    def must(program: str, *arguments: str) -> str:
        done = run(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # the author: a package, one line edited, its tests still pass
    must("lightning", "plugins", "new", "bump", "--kind", "activation", "--path", str(tmp_path))
    package = tmp_path / "fulmen-bump"
    source = package / "src" / "fulmen_bump" / "__init__.py"
    code = source.read_text()
    assert code.count("return torch.atan(self.slope * x)") == 1
    source.write_text(code.replace("return torch.atan(self.slope * x)", "return torch.tanh(self.slope * x)"))
    (package / "tests" / "test_bump.py").write_text(
        "from fulmen.testing import check_activation\n\n"
        'test_checks = check_activation("bump", options={"slope": 2.0})\n'
    )
    must("pip", "install", "--no-deps", str(package))
    said = must("python", "-m", "pytest", "-q", str(package))
    assert "fulmen.testing: " in said

    # a user: lists it, trains with it, loads what was trained
    assert "fulmen-bump" in must("lightning", "plugins", "list", "--kind", "activations")
    assert "slope" in must("lightning", "plugins", "info", "bump")
    home = Path(must("python", "-c", "import os; print(os.getcwd())").strip())
    (home / "bump.yaml").write_text(CONFIG)
    assert "accuracy" in must("lightning", "fit", "--config", "bump.yaml")
    assert "Bump" in must("python", "-c", LOAD)
    before = must("lightning", "test", "--config", "bump.yaml")

    # without the plugin: every way in names what to install
    must("pip", "uninstall", "fulmen-bump")
    for arguments in (["test", "--config", "bump.yaml"], ["test", "--config", "runs/bump/version_0/config.yaml"]):
        done = run("lightning", *arguments)
        assert done.returncode == 2
        assert "pip install 'fulmen-bump==0.1.0'" in done.stderr
    done = run("python", "-c", LOAD)
    assert done.returncode == 1
    assert "PluginError" in done.stderr
    assert "pip install 'fulmen-bump==0.1.0'" in done.stderr

    # and with it again
    must("pip", "install", "--no-deps", str(package))
    assert "Bump" in must("python", "-c", LOAD)
    assert must("lightning", "test", "--config", "bump.yaml") == before
