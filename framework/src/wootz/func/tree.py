"""Nested tuples, lists and dicts: taken apart into their leaves, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["spread", "tree_leaves", "tree_map", "tree_unflatten"]


def _is_named(tree: Any) -> bool:
    return isinstance(tree, tuple) and hasattr(tree, "_fields")


def tree_leaves(tree: Any) -> Iterator[Any]:
    """The leaves from left to right. Anything that is no tuple, list or dict is one, None included."""
    if isinstance(tree, (tuple, list)):
        for child in tree:
            yield from tree_leaves(child)
    elif isinstance(tree, dict):
        for child in tree.values():
            yield from tree_leaves(child)
    else:
        yield tree


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with ``function`` of every leaf."""
    if _is_named(tree):
        return type(tree)(*(tree_map(function, child) for child in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(tree_map(function, child) for child in tree)
    if isinstance(tree, dict):
        return {key: tree_map(function, child) for key, child in tree.items()}
    return function(tree)


def tree_unflatten(tree: Any, leaves: Iterator[Any]) -> Any:
    """The structure of ``tree`` with other leaves."""
    return tree_map(lambda _: next(leaves), tree)


def spread(prefix: Any, tree: Any, name: str) -> list[Any]:
    """One value a leaf of ``tree``: ``prefix`` has tree's structure down to where one value stands for all below it.

    Raises ValueError, naming the argument ``name``, where it does not.
    """
    if isinstance(prefix, (int, type(None))):
        return [prefix] * sum(1 for _ in tree_leaves(tree))
    same = isinstance(prefix, (tuple, list)) and isinstance(tree, (tuple, list)) and len(prefix) == len(tree)
    if same:
        return [value for p, t in zip(prefix, tree, strict=True) for value in spread(p, t, name)]
    if isinstance(prefix, dict) and isinstance(tree, dict) and prefix.keys() == tree.keys():
        return [value for key, t in tree.items() for value in spread(prefix[key], t, name)]
    raise ValueError(f"vmap: {name} {prefix!r} does not fit the structure of what it is for: expected an int, None, or "
                     f"the same tuples, lists and dicts as in {_shape_of(tree)}")  # fmt: skip


def _shape_of(tree: Any) -> Any:
    return tree_map(lambda leaf: type(leaf).__name__, tree)
