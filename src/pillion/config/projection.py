"""What a file or a variable holds of the configuration: decided here from values, without touching either.

A file whose key is absent is left as it is, like one whose prefix has lost its last key: an app does better with what it had than
with nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pillion.config.projection_formats import rendered, text_of
from pillion.config.projection_tree import below, nested
from pillion.settings.config import format_by_ending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.settings.config import ConfigFile

ENVIRONMENT_BYTES = 64 << 10
"""Of names and values together: what the keeper takes."""


class Values(Protocol):
    """The configuration as this instance sees it: what holds over all layers, as JSON types."""

    def get(self, key: str) -> object | None:
        """The value of `key`; None when there is none."""

    def items(self, prefix: str) -> Mapping[str, object]:
        """Every key that begins with `prefix`, whole, with its value."""

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Have `callback` called from the loop with the keys that have changed; an empty set: any of them may have."""


def concerns(file: ConfigFile, keys: frozenset[str]) -> bool:
    """Whether a change of `keys` (none: of any) can change the file."""
    if not keys:
        return True
    if file.key:
        return file.key in keys
    start = below(file.prefix)
    return any(key.startswith(start) for key in keys)


def wanted(file: ConfigFile, values: Values) -> object | None:
    """The value that the file should hold; None when there is nothing to write.

    Raises `ProjectionError` when the keys of a prefix do not make a tree.
    """
    if file.key:
        return values.get(file.key)
    items = values.items(below(file.prefix))
    return nested(items, file.prefix) if items else None


def content(file: ConfigFile, value: object) -> bytes:
    """The bytes of the file that holds `value`. Raises `ProjectionError` when its format cannot hold it."""
    return rendered(value, file.format or format_by_ending(file.path))


class Variables:
    """What goes into the app's environment: `env`, and `left_out` with the reason for each name that has none."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.left_out: dict[str, str] = {}


def variables(names: Mapping[str, str], values: Values) -> Variables:
    """The variables of `config.env`, name to key; text as it is, any other value as JSON."""
    found = Variables()
    room = ENVIRONMENT_BYTES
    for name, key in names.items():
        value = values.get(key)
        if value is None:
            found.left_out[name] = f"{key} has no value"
            continue
        text = text_of(value)
        size = len(name) + len(text.encode(errors="surrogatepass")) + 2
        if "\0" in text:
            found.left_out[name] = f"{key} has a NUL character, which no variable can hold"
        elif size > room:
            found.left_out[name] = (
                f"{key} does not fit: variables may have {ENVIRONMENT_BYTES} bytes together"
            )
        else:
            found.env[name] = text
            room -= size
    return found
