"""Methods whose calls of activations' functions are exchanged for modules: a copy of the source with other calls."""

from __future__ import annotations

import ast
import copy
from functools import cache
from types import FunctionType
from typing import Any

from fulmen.networks.activation_calls import input_of, methods_of, parse, search

CHILD = "functional_activations"
"""Name of the child that holds what takes the functions' place, one activation a call."""


@cache
def exchanged_class(cls: type[Any]) -> type[Any]:
    """A subclass whose methods call ``self.functional_activations[i](x)`` where those of ``cls`` call functions.

    It has its parent's name, can be copied and pickled, and is the same class each time.

    Args:
        cls: Of a module; ``i`` counts those of its :func:`calls` that can be exchanged.
    """
    methods: dict[str, Any] = {}
    number = 0
    for name, function in methods_of(cls):
        exchange = [found for found in search(function) if found.call.left is None]
        if exchange:
            methods[name] = _rewrite(function, [found.node for found in exchange], number)
            number += len(exchange)

    def reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
        _, _, *rest = super(made, self).__reduce_ex__(protocol)
        return (_new, (cls,), *rest)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    made: type[Any] = type(cls.__name__, (cls,), {**names, "__reduce_ex__": reduce, **methods})
    return made


def _new(cls: Any) -> Any:
    made: Any = exchanged_class(cls)
    return made.__new__(made)


class _Exchange(ast.NodeTransformer):
    """Exchanges calls, told by their places, for calls of the module's children."""

    def __init__(self, own: str, numbers: dict[tuple[Any, ...], int]) -> None:
        self.own, self.numbers = own, numbers

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """One call, after those inside of it."""
        number = self.numbers.get(_place(node))
        self.generic_visit(node)
        if number is None:
            return node
        child = ast.parse(f"{self.own}.{CHILD}[{number}]", mode="eval").body
        return ast.copy_location(ast.Call(child, [input_of(node)], []), node)


def _place(node: ast.Call) -> tuple[Any, ...]:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _rewrite(function: FunctionType, nodes: list[ast.Call], first: int) -> FunctionType:
    """The same function, with calls exchanged for those of the module's children, from number ``first`` on."""
    tree = copy.deepcopy(parse(function))
    assert tree is not None
    numbers = {_place(node): first + i for i, node in enumerate(nodes)}
    made = _Exchange(tree.args.args[0].arg, numbers).visit(tree)
    _strip(made)
    free = function.__code__.co_freevars  # such as __class__, which super() needs
    outer = ast.parse(f"def outer({', '.join(free)}): pass")
    assert isinstance(outer.body[0], ast.FunctionDef)
    outer.body[0].body = [made, ast.Return(ast.Name(made.name, ast.Load()))]
    space: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(outer), function.__code__.co_filename, "exec"), space)
    code = space["outer"](*free).__code__
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    exchanged = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    exchanged.__kwdefaults__ = function.__kwdefaults__
    exchanged.__qualname__, exchanged.__module__ = function.__qualname__, function.__module__
    exchanged.__doc__, exchanged.__annotations__ = function.__doc__, function.__annotations__
    return exchanged


def _strip(tree: ast.FunctionDef) -> None:
    """Leaves away what is evaluated when a function is defined; the original's values are taken over instead."""
    tree.decorator_list, tree.returns = [], None
    arguments = tree.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [None if d is None else ast.Constant(None) for d in arguments.kw_defaults]
