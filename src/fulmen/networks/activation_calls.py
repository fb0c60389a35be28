"""Activations that a module's methods call as functions (``F.relu(x)``), found in its source, and exchanged there."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

SIGMOID = "a gate: its values in [0, 1] weigh something"
SOFTMAX = "weights that add up to 1"
FACTOR = "a gate: it is multiplied with another input"
BOUND = "keeps a value in its range"

_NAMES = ("relu", "relu6", "gelu", "silu", "mish", "elu", "selu", "celu", "leaky_relu", "hardswish", "rrelu")
_TIMM_NAMES = ("swish", "mish", "hard_swish", "hard_mish", "gelu", "gelu_tanh", "quick_gelu")
_LEFT_NAMES = {
    **dict.fromkeys(("sigmoid", "hardsigmoid", "hard_sigmoid", "logsigmoid", "glu"), SIGMOID),
    **dict.fromkeys(("softmax", "log_softmax"), SOFTMAX),
    **dict.fromkeys(("tanh", "hardtanh", "softplus"), BOUND),
}


class Call(NamedTuple):
    """A call of an activation's function.

    Attributes:
        method: Name of the method that calls it.
        text: The call as it is written.
        left: Why it cannot be exchanged; ``None`` if it can.
        needs: The module's attributes that are called for its input (``self.gate(x).sigmoid()``); the call does
            not take place where one is ``None``.
    """

    method: str
    text: str
    left: str | None
    needs: tuple[str, ...] = ()


class Found(NamedTuple):
    """A call, and where it stands in the tree of its function."""

    call: Call
    node: ast.Call


@cache
def functions() -> dict[Any, str | None]:
    """Every activation as a function, torch's and timm's -> why it is left; ``None``: it can be exchanged."""
    from timm.layers import activations, activations_me

    known: dict[Any, str | None] = {}
    for source in (F, torch, activations, activations_me):
        for name, function in vars(source).items():
            plain = name.removesuffix("_me").removesuffix("_")
            if not callable(function) or isinstance(function, type):
                continue
            if plain in _NAMES or (source not in (F, torch) and plain in _TIMM_NAMES):
                known[function] = None
            elif plain in _LEFT_NAMES:
                known[function] = _LEFT_NAMES[plain]
    return known


@cache
def calls(cls: type) -> tuple[Call, ...]:
    """The functional activations in the methods of a class, in the order of its source.

    Args:
        cls: Of a module; methods of torch's own classes are not looked at.
    """
    found = [found.call for _, function in methods_of(cls) for found in search(function)]
    above = [f.call for function in _overridden(cls) for f in search(function) if f.call.left is None]
    return (*found, *(call._replace(left="in a method that a subclass overrides") for call in above))


@cache
def factors(cls: type) -> frozenset[str]:
    """Names of the attributes whose results (``self.act(x)``) a method multiplies with another input.

    Args:
        cls: Of a module.
    """
    found = set()
    for _, function in methods_of(cls):
        tree = parse(function)
        if tree is None:
            continue
        parents = _parents(tree)
        for node in ast.walk(tree):
            name = _own_attribute(node.func, tree) if isinstance(node, ast.Call) else None
            if name is not None and _is_factor(node, parents, tree):
                found.add(name)
    return frozenset(found)


@cache
def takes_more(cls: type, name: str) -> bool:
    """Whether a method calls ``self.name`` with more than one argument, or uses it in another way."""
    for _, function in methods_of(cls):
        tree = parse(function)
        if tree is None:
            return True
        parents = _parents(tree)
        for node in ast.walk(tree):
            if _own_attribute(node, tree) == name and isinstance(getattr(node, "ctx", None), ast.Load):
                call = parents[node]
                if not (isinstance(call, ast.Call) and call.func is node and len(call.args) == 1 and not call.keywords):
                    return True
    return False


def methods_of(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """The methods that an instance has, except those of torch's classes and special ones."""
    seen: set[str] = set()
    for parent in cls.__mro__:
        if parent.__module__.startswith(("torch.", "builtins")):
            return
        for name, value in vars(parent).items():
            if isinstance(value, FunctionType) and not name.startswith("__") and name not in seen:
                yield name, value
            seen.add(name)


def _overridden(cls: type) -> Iterator[FunctionType]:
    current = dict(methods_of(cls))
    for parent in cls.__mro__[1:]:
        for name, value in methods_of(parent):
            if parent.__dict__.get(name) is value and current.get(name) is not value:
                yield value


@cache
def parse(function: FunctionType) -> ast.FunctionDef | None:
    """The source of a method, with its own line numbers; ``None`` where there is none to read."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(tree, ast.FunctionDef) or not tree.args.args:
        return None
    ast.increment_lineno(tree, first - 1)
    return tree


@cache
def search(function: FunctionType) -> tuple[Found, ...]:
    """The calls of activations' functions in a method, in the order in which they stand there."""
    tree = parse(function)
    if tree is None:
        return ()
    parents = _parents(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (known := _known(node, function, tree)) is not None:
            left = known[0] or _obstacle(node, parents, tree)
            inner = (_own_attribute(n.func, tree) for n in ast.walk(node) if isinstance(n, ast.Call))
            needs = tuple(name for name in inner if name is not None)
            found.append(Found(Call(function.__name__, ast.unparse(node), left, needs), node))
    return tuple(sorted(found, key=lambda f: (f.node.lineno, f.node.col_offset)))


def _known(node: ast.Call, function: FunctionType, tree: ast.FunctionDef) -> tuple[str | None] | None:
    """Why a call is left, in a tuple; ``None`` if it calls no activation."""
    target = _resolve(node.func, function)
    if target is not None:
        return (functions()[target],) if _hashable(target) and target in functions() else None
    method = node.func
    if not isinstance(method, ast.Attribute) or _own_attribute(method, tree) is not None:
        return None
    name = method.attr.removesuffix("_")
    if name == "relu" and not node.args:
        return (None,)
    return (_LEFT_NAMES[name],) if name in _LEFT_NAMES and hasattr(torch.Tensor, method.attr) else None


def _resolve(node: ast.expr, function: FunctionType) -> Any:
    """What a dotted name is in a function's globals; ``None`` for everything else."""
    if isinstance(node, ast.Name):
        local = node.id in function.__code__.co_varnames or node.id in function.__code__.co_freevars
        return None if local else function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, function), node.attr, None)
    return None


def _hashable(value: Any) -> bool:
    return callable(getattr(value, "__hash__", None))


def _obstacle(node: ast.Call, parents: dict[ast.AST, ast.AST], tree: ast.FunctionDef) -> str | None:
    parent, value = parents[node], input_of(node)
    same = isinstance(parent, ast.Assign) and [ast.unparse(t) for t in parent.targets] == [ast.unparse(value)]
    if isinstance(parent, ast.Expr) or (_in_place(node) and isinstance(value, ast.Name) and not same):
        return "changes its input in place"
    return FACTOR if _is_factor(node, parents, tree) else None


def _in_place(node: ast.Call) -> bool:
    option = next((k.value for k in node.keywords if k.arg == "inplace"), None)
    given = option is not None and not (isinstance(option, ast.Constant) and option.value is False)
    return given or ast.unparse(node.func).endswith("_")


def input_of(node: ast.Call) -> ast.expr:
    """What an activation is called with."""
    if node.args:
        return node.args[0]
    named = next((k.value for k in node.keywords if k.arg in ("input", "x")), None)
    if named is not None:
        return named
    assert isinstance(node.func, ast.Attribute)  # a tensor's method
    return node.func.value


def _is_factor(node: ast.AST, parents: dict[ast.AST, ast.AST], tree: ast.FunctionDef) -> bool:
    """Whether a result is multiplied with something that is neither a number nor the module's own."""
    parent = parents[node]
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult):
        other = parent.left if parent.right is node else parent.right
    elif isinstance(parent, ast.Attribute) and parent.attr in ("mul", "mul_"):
        call = parents[parent]
        if not (isinstance(call, ast.Call) and call.args):
            return False
        other = call.args[0]
    elif (
        isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in ("mul", "mul_")
    ):
        other = parent.func.value
    else:
        return False
    return not (isinstance(other, ast.Constant) or _own_attribute(other, tree) is not None)


def _own_attribute(node: ast.AST, tree: ast.FunctionDef) -> str | None:
    """``name`` of ``self.name``."""
    own = (
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == tree.args.args[0].arg
    )
    return node.attr if own and isinstance(node, ast.Attribute) else None


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
