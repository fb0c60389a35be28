"""The parser of configs and options: strict about names, and with messages that a person can use."""

from __future__ import annotations

from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

import fulmen.data
from fulmen.cli.messages import readable
from fulmen.core.errors import ConfigError
from fulmen.core.spec import Spec


class FulmenParser(LightningArgumentParser):
    """Lightning's parser, without guessing at abbreviations, and with specs that can be opened by options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        for name in fulmen.data.__all__:  # a short class name is found among the classes that are imported
            getattr(fulmen.data, name)
        super().__init__(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises :class:`ConfigError` with what is wrong, where, and what is allowed; no dump of the usage."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise ConfigError(readable(message, self)) from ex

    def add_function_arguments(self, *args: Any, linked_targets: object = None, **kwargs: Any) -> list[str]:
        """Adds a function's arguments, which are linked to nothing.

        jsonargparse (4.49, ``_typehints.py``) hands on the targets of links, which only its method for classes takes,
        where a further option follows a function's ``class_path``.
        """
        added: list[str] = super().add_function_arguments(*args, **kwargs)
        return added

    def parse_args(  # type: ignore[override]  # jsonargparse's own differs from argparse's
        self, args: Any = None, namespace: Any = None, *rest: Any, **kwargs: Any
    ) -> Namespace:
        """Parses; an option below a spec that is a bare name (``--model.optimizer.lr``) keeps the name."""
        if isinstance(args, list) and len(args) == 1:
            namespace = self._open_spec(args[0], namespace)
        return super().parse_args(args, namespace, *rest, **kwargs)

    def _open_spec(self, argument: str, namespace: Namespace | None) -> Namespace | None:
        key, _, rest = argument.removeprefix("--").partition("=")[0].partition(".")
        if not rest:
            return namespace
        for action in self._actions:
            if action.dest == key and getattr(action, "_typehint", None) == Spec:
                given = action.default if namespace is None else namespace.get(key, action.default)
                if isinstance(given, str | dict):
                    namespace = Namespace() if namespace is None else namespace  # type: ignore[no-untyped-call]
                    namespace[key] = {"name": given} if isinstance(given, str) else dict(given)
        return namespace
