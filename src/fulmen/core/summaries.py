"""One line on what a component does, found without importing it.

The line is the first one of the docstring of the class or function, read from the source file as text. Parts of
torch, torchmetrics and timm that this package names have theirs in :data:`FOREIGN`: their sources would take
longer to find than all the rest, and their docstrings begin with "Applies the ... function element-wise".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

from fulmen.core.registry import Component

_HOPS = 4  # how many re-exports (``from .bump import Bump``) are followed
_PARENTHESES = r"\([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*\)"
_DOCSTRING = r"[rR]?(?:\"\"\"(?P<long>.*?)\"\"\"|\"(?P<short>[^\"\n]*)\"|'''(?P<quoted>.*?)''')"
_HEAD = rf"(?:\[[^\]]*\])?\s*(?:{_PARENTHESES})?\s*(?:->[^:\n]*)?:[ \t]*(?:#[^\n]*)?\s+"
_DOCUMENTED = re.compile(_HEAD + _DOCSTRING, re.DOTALL)  # what follows ``class Name`` or ``def name``
_IMPORT = re.compile(r"^from\s+(\.*[\w.]*)\s+import\s+(?:\(([^)]*)\)|([^\n#(]*))", re.MULTILINE)
_SUMMARY = re.compile(r"^Summary: (.*)$", re.MULTILINE)


def summary(component: Component) -> str:
    """What a component does, in one line.

    Returns:
        The line of :data:`FOREIGN`; else the first line of the docstring in the source; else what the distribution
        says of itself; empty where there is none of these.

    >>> summary(Component("activations", "relu", "torch.nn:ReLU", "fulmen", "0.1.0"))
    'max(0, x)'
    """
    found = FOREIGN.get(component.value) or documented(component.value)
    return plain(found or _of_distribution(component.distribution or ""))


def plain(text: str) -> str:
    """A docstring's text for a terminal, which shows no markup.

    >>> plain("``x`` above 0")
    'x above 0'
    """
    return text.replace("``", "")


def documented(value: str) -> str:
    """The first line of the docstring of ``module:name``, read from its source file.

    Returns:
        Empty where there is no source, no such class or function in it, or no docstring.

    >>> documented("fulmen.nn.schedules:plateau")
    'Multiplies the rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs.'
    """
    module, _, name = value.partition(":")
    for _ in range(_HOPS):
        path = source_file(module)
        if path is None:
            return ""
        text = _text(path)
        start = _definition(text, name)
        if start is not None:
            found = _DOCUMENTED.match(text, start)
            docstring = (found["long"] or found["quoted"] or found["short"] or "") if found else ""
            return docstring.strip().partition("\n")[0].strip()
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        origin = next((o for o in _imported(text, package) if o[2] == name), None)
        if origin is None:
            return ""
        module, name, _ = origin
    return ""


def _definition(text: str, name: str) -> int | None:
    """Where ``class Name`` or ``def name`` at the left margin ends. No pattern is compiled: there are many names."""
    text = f"\n{text}"
    for keyword in ("class", "def", "async def"):
        head = f"\n{keyword} {name}"
        start = text.find(head)
        while start >= 0:
            end = start + len(head)
            if not f"x{text[end : end + 1]}".isidentifier():  # the name goes on: another one
                return end - 1
            start = text.find(head, end)
    return None


def _imported(text: str, package: str) -> Iterator[tuple[str, str, str]]:
    """The ``from`` imports of a module of a package: from which module, its name there, its name here."""
    for source, several, one in _IMPORT.findall(text):
        level = len(source) - len(source.lstrip("."))
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - level + 1]) if level else ""
        module = ".".join(filter(None, (base, source.lstrip("."))))
        for item in re.sub(r"#[^\n]*", "", several or one).split(","):
            words = item.split()
            if words:
                yield module, words[0], words[-1]


@cache
def source_file(module: str) -> Path | None:
    """The source file of a module; only the finders of top-level modules are asked, so nothing is imported."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # a module that is half imported, or no name of a module
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *rest)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


@cache
def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # such as a file inside of a zip archive
        return ""


@cache
def _of_distribution(name: str) -> str:
    try:
        metadata = Distribution.from_name(name).read_text("METADATA") if name else None
    except PackageNotFoundError:
        return ""
    found = _SUMMARY.search((metadata or "").partition("\n\n")[0])
    return found[1].strip() if found else ""


FOREIGN = {
    # activations
    "torch.nn:CELU": "``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``: ELU with a continuous slope",
    "torch.nn:ELU": "``x`` above 0, ``alpha * (exp(x) - 1)`` below",
    "torch.nn:GELU": "``x * Phi(x)``, with the normal distribution's cumulative function Phi",
    "torch.nn:Hardshrink": "``x`` where ``|x| > lambd``, else 0",
    "torch.nn:Hardsigmoid": "``min(max(x / 6 + 1 / 2, 0), 1)``: a sigmoid of straight lines",
    "torch.nn:Hardswish": "``x * min(max(x / 6 + 1 / 2, 0), 1)``: SiLU of simple operations",
    "torch.nn:Hardtanh": "``min(max(x, min_val), max_val)``",
    "torch.nn:Identity": "``x``: no activation at all",
    "torch.nn:LeakyReLU": "``x`` above 0, ``negative_slope * x`` below",
    "torch.nn:LogSigmoid": "``log(1 / (1 + exp(-x)))``",
    "torch.nn:Mish": "``x * tanh(log(1 + exp(x)))``",
    "torch.nn:PReLU": "``x`` above 0, ``a * x`` below, with a slope ``a`` that is learned",
    "torch.nn:RReLU": "``x`` above 0, ``a * x`` below, with a slope ``a`` drawn from [lower, upper] in training",
    "torch.nn:ReLU": "``max(0, x)``",
    "torch.nn:ReLU6": "``min(max(0, x), 6)``",
    "torch.nn:SELU": "Scaled ELU, whose constants keep mean 0 and variance 1 from layer to layer",
    "torch.nn:SiLU": "``x / (1 + exp(-x))``, also called swish",
    "torch.nn:Sigmoid": "``1 / (1 + exp(-x))``",
    "torch.nn:Softplus": "``log(1 + exp(beta * x)) / beta``: a smooth ReLU",
    "torch.nn:Softshrink": "``x - lambd`` above lambd, ``x + lambd`` below -lambd, else 0",
    "torch.nn:Softsign": "``x / (1 + |x|)``",
    "torch.nn:Tanh": "``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``",
    "torch.nn:Tanhshrink": "``x - tanh(x)``",
    # losses
    "torch.nn:HuberLoss": "``error ** 2 / 2`` up to delta, ``delta * (|error| - delta / 2)`` beyond",
    "torch.nn:L1Loss": "Mean absolute error",
    "torch.nn:MSELoss": "Mean squared error",
    "torch.nn:SmoothL1Loss": "``error ** 2 / (2 * beta)`` up to beta, ``|error| - beta / 2`` beyond",
    # metrics
    "fulmen.nn.metrics:f1": "Harmonic mean of precision and recall, averaged over classes",
    "fulmen.nn.metrics:precision": "Share of those said to be of a class that are, averaged over classes",
    "fulmen.nn.metrics:recall": "Share of a class that is found, averaged over classes",
    "fulmen.nn.metrics:rmse": "Square root of the mean squared error",
    "fulmen.nn.metrics:specificity": "Share of those not of a class that are said not to be, averaged over classes",
    "torchmetrics:AUROC": "Area under the curve of true positives over false positives; 0.5 is guessing",
    "torchmetrics:Accuracy": "Share of predictions that are right",
    "torchmetrics:AveragePrecision": "Area under the curve of precision over recall",
    "torchmetrics:CalibrationError": "How far the confidence of predictions is from the share of them that is right",
    "torchmetrics:CohenKappa": "Agreement beyond chance; 0 is chance, 1 is perfect",
    "torchmetrics:ExactMatch": "Share of samples whose every label is right",
    "torchmetrics:ExplainedVariance": "``1 - var(target - prediction) / var(target)``",
    "torchmetrics:HammingDistance": "Share of predictions (or labels) that are wrong",
    "torchmetrics:JaccardIndex": "Intersection over union of predicted and true members of a class",
    "torchmetrics:MatthewsCorrCoef": "Correlation of predicted and true classes; right for rare classes too",
    "torchmetrics:MeanAbsoluteError": "Mean absolute error",
    "torchmetrics:MeanAbsolutePercentageError": "Mean of ``|error| / |target|``, as a share: 0.1 is 10 %",
    "torchmetrics:MeanSquaredError": "Mean squared error",
    "torchmetrics:PearsonCorrCoef": "Linear correlation of predictions and targets",
    "torchmetrics:R2Score": "Share of the targets' variance that is explained; 0 is predicting their mean",
    "torchmetrics:SpearmanCorrCoef": "Correlation of the ranks of predictions and targets",
    # optimizers
    "timm.optim:AdaBelief": "Adam that divides by how much gradients differ from their mean (Zhuang et al. 2020)",
    "timm.optim:AdamP": "Adam without the part of the step that only grows the weights' norm (Heo et al. 2020)",
    "timm.optim:Adan": "Adaptive Nesterov momentum of three moments (Xie et al. 2022)",
    "timm.optim:Lamb": "Adam with a step in proportion to each layer's norm, for large batches (You et al. 2019)",
    "timm.optim:Lars": "SGD with a step in proportion to each layer's norm, for large batches (You et al. 2017)",
    "timm.optim:Lion": "Steps by the sign of a momentum (Chen et al. 2023); wants a smaller rate than Adam",
    "timm.optim:MADGRAD": "AdaGrad with momentum by dual averaging (Defazio and Jelassi 2021)",
    "timm.optim:NvNovoGrad": "One second moment a layer instead of one a weight (Ginsburg et al. 2019)",
    "timm.optim:RMSpropTF": "RMSprop as TensorFlow has it, eps inside of the root",
    "timm.optim:SGDP": "SGD without the part of the step that only grows the weights' norm (Heo et al. 2020)",
    "torch.optim:ASGD": "SGD that also keeps an average of the weights (Polyak and Juditsky 1992)",
    "torch.optim:Adadelta": "Steps in proportion to recent steps, so that no rate has to be found (Zeiler 2012)",
    "torch.optim:Adafactor": "Adam whose second moment is kept by rows and columns, to save memory (Shazeer 2018)",
    "torch.optim:Adagrad": "Divides by the root of the sum of all squared gradients (Duchi et al. 2011)",
    "torch.optim:Adam": "Momentum, divided by the root of the mean squared gradient (Kingma and Ba 2014)",
    "torch.optim:AdamW": "Adam with weight decay that is apart from the gradient (Loshchilov and Hutter 2017)",
    "torch.optim:Adamax": "Adam with the largest recent gradient in place of the mean square (Kingma and Ba 2014)",
    "torch.optim:LBFGS": "Quasi-Newton with a short memory, several passes a step; for small, full-batch problems",
    "torch.optim:NAdam": "Adam with Nesterov momentum (Dozat 2016)",
    "torch.optim:RAdam": "Adam that warms up by itself while its second moment is uncertain (Liu et al. 2019)",
    "torch.optim:RMSprop": "Divides by the root of the mean squared gradient (Hinton 2012)",
    "torch.optim:Rprop": "A step size a weight, from the gradient's sign alone; for full batches (Riedmiller 1993)",
    "torch.optim:SGD": "Stochastic gradient descent, with momentum where asked for",
}
"""``module:name`` -> its line, for the built-ins that no docstring of this package describes."""
