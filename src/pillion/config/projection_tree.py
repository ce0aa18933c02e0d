"""Keys joined by `/` as a tree of tables and back, for files that programs and people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.settings.names import check_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ProjectionError(PillionError):
    """Values that cannot be written as a file asks for, or a file that does not make values."""


def below(prefix: str) -> str:
    """The beginning that every key below `prefix` has: `shop` and `shop/` are the same, an empty one is everything."""
    return f"{prefix.removesuffix('/')}/" if prefix else ""


def nested(items: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """The tree of the keys below `prefix`, without it; keys in their order.

    Raises `ProjectionError` when a key has a value and keys below it.
    """
    start = below(prefix)
    paths = {
        tuple(key[len(start) :].split("/")): items[key]
        for key in sorted(items)
        if key.startswith(start)
    }
    return _table(paths, start)


def flattened(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """The keys of a tree: a table with something in it becomes keys, everything else is a value.

    Raises `ProjectionError` for a name that cannot be part of a key, and when two paths give one key.
    """
    found: dict[str, object] = {}
    for key, value in _leaves(tree, below(prefix)):
        try:
            check_key(key)
        except ValueError as error:
            raise ProjectionError(f"cannot use the key {key[:100]!r}: {error}") from error
        if key in found:
            raise ProjectionError(f"cannot use {key} twice: two names of the file give this key")
        found[key] = value
    return found


def _table(paths: Mapping[tuple[str, ...], object], start: str) -> dict[str, object]:
    groups: dict[str, dict[tuple[str, ...], object]] = {}
    for path, value in paths.items():
        groups.setdefault(path[0], {})[path[1:]] = value
    tree: dict[str, object] = {}
    for name, inner in groups.items():
        if () not in inner:
            tree[name] = _table(inner, f"{start}{name}/")
        elif len(inner) == 1:
            tree[name] = inner[()]
        else:
            raise ProjectionError(
                f"cannot write {start}{name} as a tree: it has a value, and there are keys below it; rename one of them"
            )
    return tree


def _leaves(tree: Mapping[str, object], start: str) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{start}{name}/")
        else:
            yield f"{start}{name}", value
