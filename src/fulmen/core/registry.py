"""What can be plugged in, found from package metadata without importing anything.

A plugin is a distribution with entry points in the groups ``fulmen.<kind>``; the built-ins are declared in
the same way, in this package's own pyproject.toml. Finding is one cached scan of the installed metadata;
a component is imported when it is used, so a broken plugin fails only when it is asked for.

Environment variables:
    FULMEN_PLUGINS: ``all`` (default), ``none``, or distributions separated by commas that may load.
    FULMEN_PLUGINS_DENY: distributions separated by commas that must not load.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, entry_points, packages_distributions, version
from typing import Any

from fulmen.core.errors import PluginError, SpecError, unknown

OWN = "fulmen"
_RELEASE = re.compile(r"\d+(?:\.\d+)*")
_BOUNDS = re.compile(rf"{OWN}(?:(?:>=|<){_RELEASE.pattern},?)*")
_OWN_LINE = re.compile(rf"\s*{OWN}(?![\w.-]*\w)", re.IGNORECASE)  # a requirement of ours, and not of fulmen-something
KINDS = {
    "activations": "activation",
    "regularizers": "regularizer",
    "losses": "loss",
    "metrics": "metric",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "image_augmentations": "image augmentation",
    "text_augmentations": "text augmentation",
}
"""Every kind of extension (the entry-point group is ``fulmen.<kind>``) and how messages call one of it."""

BASES = {
    "activations": "torch.nn:Module",
    "regularizers": "fulmen.nn.regularizers:Regularizer",
    "losses": "torch.nn:Module",
    "metrics": "torchmetrics:Metric",
    "optimizers": "torch.optim:Optimizer",
    "schedules": "torch.optim.lr_scheduler:LRScheduler",
    "image_augmentations": "albumentations:BasicTransform",
    "text_augmentations": "nlpaug.base_augmenter:Augmenter",
}
"""What a component of each kind is, ``module:class``; imported only to check a dotted path."""

KNOWN_PLUGINS: dict[str, dict[str, str]] = {
    "fulmen-activations": {
        "activations": (
            "acon aptx bilinear elish flexible_relu gaussian geglu glu lisht logish maxout pelu rational "
            "reglu serf sine sinlu smish snake squared_relu srelu star_relu swiglu swish telu xielu"
        ),
    },
    "fulmen-albumentations": {
        "image_augmentations": (
            "blur color_jitter crop cutout elastic flip grid_distortion light medium noise one_of "
            "rand_augment resized_crop rotate scale shear some_of strong translate trivial_augment"
        ),
    },
    "fulmen-nlpaug": {
        "text_augmentations": ("antonym crop delete insert keyboard ocr spelling split swap synonym tfidf"),
    },
    "fulmen-regularizers": {
        "regularizers": (
            "activity_l1 activity_l2 confidence_penalty gradient_penalty group_lasso hoyer jacobian "
            "kl_sparsity l2_sp manifold_mixup max_norm orthogonal sam spectral_norm srip"
        ),
    },
}
"""Distribution -> kind -> names, for the hint on what to install: the plugins that the house publishes."""


@dataclass(frozen=True)
class Component:
    """Something that can be plugged in.

    Attributes:
        kind: A key of :data:`KINDS`.
        name: What a config calls it, or its dotted path.
        value: Where it is, ``module:attribute``.
        distribution: The distribution that provides it; ``None`` for a person's own file.
        version: That distribution's version.
    """

    kind: str
    name: str
    value: str
    distribution: str | None
    version: str | None

    @property
    def qualified(self) -> str:
        """The spelling that names it even where two distributions provide the same name."""
        return f"{self.distribution}:{self.name}"

    @property
    def provider(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}" if self.distribution else "a local file"

    def load(self) -> Any:
        """Imports it.

        Raises:
            PluginError: If the import fails; says which distribution, version and cause.
        """
        module, _, attribute = self.value.partition(":")
        if self.kind == "image_augmentations":  # albumentations asks the package index for its newest version
            os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        try:
            target: Any = import_module(module)
            for part in attribute.split("."):
                target = getattr(target, part)
        except (Exception, SystemExit) as error:  # whatever a plugin raises at import: named, never hidden
            cause = f"{type(error).__name__}: {error}"
            if "." in self.name:
                raise SpecError(f"{KINDS[self.kind]} {self.name!r} cannot be imported: {cause}") from error
            raise PluginError(
                f"{KINDS[self.kind]} {self.name!r} of {self.provider} cannot be imported from {self.value!r}: {cause}\n"
                f"Repair it, remove it (pip uninstall {self.distribution}), "
                f"or keep it from loading with FULMEN_PLUGINS_DENY={self.distribution}."
            ) from error
        if "." in self.name:
            self._check_base(target)
        elif not callable(target):
            raise PluginError(
                f"{KINDS[self.kind]} {self.name!r} of {self.provider} is no class or function: {self.value!r} is "
                f"{target!r}\nIts entry point must name a class or a function; until then keep it from loading with "
                f"FULMEN_PLUGINS_DENY={self.distribution}."
            )
        return target

    def _check_base(self, target: Any) -> None:
        # A dotted path may come from a checkpoint of unknown origin: only classes of the kind are ever called.
        module, _, name = BASES[self.kind].partition(":")
        message = (
            f"{KINDS[self.kind]} {self.name!r} must be a subclass of {module}.{name} to be used by its dotted path"
        )
        try:
            base = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise SpecError(f"{message}, and {error.name} is not installed: pip install {error.name}") from error
        if not (isinstance(target, type) and issubclass(target, base)):
            raise SpecError(message)


def canonical(distribution: str) -> str:
    """The normalized name of a distribution (PEP 503).

    >>> canonical("Fulmen_Activations")
    'fulmen-activations'
    """
    return "-".join(part for part in distribution.lower().replace("_", "-").replace(".", "-").split("-") if part)


def _admits(line: str, version: str) -> bool:
    """Whether a requirement of lower and upper bounds alone admits a final release, without packaging (25 ms).

    >>> _admits("fulmen>=0.1,<0.2", "0.1.3"), _admits("fulmen>=0.1,<0.2", "0.2"), _admits("fulmen~=0.1", "0.1.3")
    (True, False, False)
    """

    def release(text: str) -> tuple[int, ...]:
        numbers = [int(part) for part in text.split(".")]
        return tuple(numbers + [0] * (8 - len(numbers)))

    if not _BOUNDS.fullmatch(line) or not _RELEASE.fullmatch(version):
        return False
    bounds = re.findall(rf"(>=|<)({_RELEASE.pattern})", line)
    return all((release(version) >= release(v)) == (sign == ">=") for sign, v in bounds)


class Registry:
    """The components of one environment.

    Args:
        components: All that the metadata declare.
        requirements: Distribution -> its ``Requires-Dist`` lines.
        environ: Where ``FULMEN_PLUGINS`` and ``FULMEN_PLUGINS_DENY`` are read.
        own_version: The version of fulmen that plugins must admit.

    Raises:
        PluginError: If one of the two variables names a distribution that provides nothing here.
    """

    def __init__(
        self,
        components: Iterable[Component],
        requirements: Mapping[str, Iterable[str]],
        environ: Mapping[str, str],
        own_version: str,
    ) -> None:
        self._all = sorted(components, key=lambda c: (c.kind, c.name, c.distribution or ""))
        self._requirements = requirements
        self._own_version = own_version
        self._incompatibilities: dict[str, str | None] = {}  # by distribution
        self._denied = self._read_denied(environ)

    def _read_denied(self, environ: Mapping[str, str]) -> dict[str, str]:
        plugins = {canonical(c.distribution) for c in self._all if c.distribution and c.distribution != OWN}

        def names(variable: str, value: str) -> set[str]:
            given = {canonical(name.strip()) for name in value.split(",") if name.strip()}
            for name in sorted(given - plugins):
                raise PluginError(f"{variable}: {unknown('plugin', name, plugins)}")
            return given

        allow = environ.get("FULMEN_PLUGINS", "").strip() or "all"
        denied = {}
        if allow != "all":
            allowed = set() if allow == "none" else names("FULMEN_PLUGINS", allow)
            denied = dict.fromkeys(plugins - allowed, f"FULMEN_PLUGINS={allow}")
        deny = environ.get("FULMEN_PLUGINS_DENY", "")
        return denied | dict.fromkeys(names("FULMEN_PLUGINS_DENY", deny), f"FULMEN_PLUGINS_DENY={deny}")

    def components(self, kind: str | None = None) -> list[Component]:
        """Everything declared, denied or broken plugins included, sorted by kind, name and distribution."""
        return [c for c in self._all if kind in (None, c.kind)]

    def names(self, kind: str) -> list[str]:
        """The names of a kind that may be used, each once."""
        return sorted({c.name for c in self.components(kind) if self.problem(c) is None})

    def problem(self, component: Component) -> str | None:
        """Why a component may not be used: denied, or made for another fulmen. ``None`` if it may."""
        if component.distribution is None:
            return None
        denied = self._denied.get(canonical(component.distribution))
        if denied:
            return f"{component.provider} is denied by {denied}"
        if component.distribution not in self._incompatibilities:
            self._incompatibilities[component.distribution] = self._incompatible(component)
        return self._incompatibilities[component.distribution]

    def _incompatible(self, component: Component) -> str | None:
        lines = [line for line in self._requirements.get(component.distribution or "", ()) if _OWN_LINE.match(line)]
        if all(_admits(line, self._own_version) for line in lines):
            return None
        from packaging.requirements import InvalidRequirement, Requirement

        for line in lines:
            try:
                requirement = Requirement(line)
            except InvalidRequirement as error:
                return f"{component.provider} has an unreadable requirement {line!r}: {error}"
            if canonical(requirement.name) != OWN or (requirement.marker and not requirement.marker.evaluate()):
                continue
            if not requirement.specifier.contains(self._own_version, prereleases=True):
                return (
                    f"{component.provider} requires {OWN}{requirement.specifier}, but {OWN} {self._own_version} is "
                    f"installed; update one of them (pip install -U {component.distribution} {OWN})"
                )
        return None

    def find(self, kind: str, name: str) -> Component:
        """Finds what a name means.

        Args:
            kind: A key of :data:`KINDS`.
            name: A name, a qualified name (``distribution:name``), or a dotted path
                (``package.module.Name``), which is imported as it stands.

        Raises:
            SpecError: If nothing has this name.
            PluginError: If two distributions have it, or the one that has it may not be used.
        """
        distribution, _, bare = name.rpartition(":")
        if "." in bare and not distribution:
            found = [self.by_path(kind, name)]
        else:
            found = [
                c
                for c in self.components(kind)
                if c.name == bare and (not distribution or canonical(c.distribution or "") == canonical(distribution))
            ]
        if not found:
            raise self._not_found(kind, name)
        problems = [self.problem(c) for c in found]
        usable = [c for c, problem in zip(found, problems, strict=True) if problem is None]
        if not usable:
            raise PluginError(f"{KINDS[kind]} {name!r} cannot be used: {'; '.join(filter(None, problems))}")
        if len(usable) > 1:
            providers = " and ".join(c.provider for c in usable)
            spellings = " or ".join(repr(c.qualified) for c in usable)
            raise PluginError(f"{KINDS[kind]} {name!r} is provided by {providers}; write {spellings} to pick one")
        return usable[0]

    def by_path(self, kind: str, path: str) -> Component:
        """The component that a dotted path means, and the distribution that it comes from; imports nothing."""
        module, _, attribute = path.rpartition(".")
        top = path.partition(".")[0]
        owners = {name: version(name) for name in _owners().get(top, ())}
        if not owners:  # an editable install lists no modules, but its entry points name them
            owners = {
                c.distribution: c.version or ""
                for c in self._all
                if c.distribution and c.value.partition(":")[0].partition(".")[0] == top
            }
        owner = min(owners, default=None)
        return Component(kind, path, f"{module}:{attribute}", owner, owners[owner] if owner else None)

    def _not_found(self, kind: str, name: str) -> SpecError:
        distribution, _, bare = name.rpartition(":")
        absent = [d for d, kinds in KNOWN_PLUGINS.items() if bare in kinds.get(kind, "").split()]
        if distribution and not any(canonical(c.distribution or "") == canonical(distribution) for c in self._all):
            absent = [distribution]
        if absent and (not distribution or canonical(absent[0]) == canonical(distribution)):
            return SpecError(f"{KINDS[kind]} {name!r} is in a plugin that is not installed: pip install {absent[0]}")
        return SpecError(unknown(KINDS[kind], name, self.names(kind)))


@cache
def registry() -> Registry:
    """The registry of this process: one scan of the installed metadata, made at the first call."""
    return scan(os.environ)


def scan(environ: Mapping[str, str]) -> Registry:
    """One scan of the installed metadata.

    Args:
        environ: Where ``FULMEN_PLUGINS`` and ``FULMEN_PLUGINS_DENY`` are read.
    """
    installed = entry_points()
    components: list[Component] = []
    heads: dict[int, tuple[str, str, list[str]]] = {}  # each is read once: there is an entry for every component
    for kind in KINDS:
        for entry in installed.select(group=f"{OWN}.{kind}"):
            if entry.dist is None:
                continue
            if id(entry.dist) not in heads:
                heads[id(entry.dist)] = _head(entry.dist)
            name, release, _ = heads[id(entry.dist)]
            components.append(Component(kind, entry.name, entry.value, name, release))
    return Registry(components, {name: requires for name, _, requires in heads.values()}, environ, version(OWN))


def _head(dist: Distribution) -> tuple[str, str, list[str]]:
    """Name, version and requirements; the email parser of importlib.metadata takes ten times as long."""
    text = dist.read_text("METADATA")
    if text is None:  # an egg
        return dist.name, dist.version, list(dist.requires or ())
    fields = [line.partition(": ") for line in text.partition("\n\n")[0].splitlines()]
    values = {key: value.strip() for key, _, value in fields}
    return values["Name"], values["Version"], [value.strip() for key, _, value in fields if key == "Requires-Dist"]


@cache
def _owners() -> Mapping[str, list[str]]:
    """Top-level module -> the distributions that list it."""
    return packages_distributions()
