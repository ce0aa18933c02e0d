"""Which JSON Schemas there are, and which of them a value has to keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.config.items import problem_with
from pillion.config.keys import SCHEMAS, check_key, check_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.store.interface import Change, Entry


class Schema(msgspec.Struct, frozen=True):
    """One schema; `name` is a key, or with a slash at its end the beginning of keys."""

    name: str
    raw: bytes
    revision: int
    time_s: float = 0.0
    writer: str = ""

    def concerns(self, key: str) -> bool:
        """Whether `key` is the one, or begins as it says."""
        return key.startswith(self.name) if self.name.endswith("/") else key == self.name

    @property
    def etag(self) -> bytes:
        """Its entity tag."""
        return b'"schema:%d"' % self.revision


class Schemas:
    """Every schema of the store; `generation` grows with each change, so that who checked knows whether it still holds."""

    def __init__(self) -> None:
        self.generation = 0
        self._by_name: dict[str, Schema] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_name)

    def get(self, name: str) -> Schema | None:
        """The schema of that name."""
        return self._by_name.get(name)

    def items(self, prefix: str = "") -> list[Schema]:
        """Every schema whose name begins with `prefix`, in order."""
        return [self._by_name[name] for name in sorted(self._by_name) if name.startswith(prefix)]

    def applying(self, key: str, instead: Schema | None = None) -> tuple[Schema, ...]:
        """What a value of `key` has to keep to: the schema of the longest beginning, and the key's own.

        `instead` is looked at as if it stood already.
        """
        if not self._by_name and instead is None:
            return ()
        found = []
        end = key.rfind("/")
        while end > 0:
            schema = self._look(key[: end + 1], instead)
            if schema is not None:
                found.append(schema)
                break
            end = key.rfind("/", 0, end)
        own = self._look(key, instead)
        if own is not None:
            found.append(own)
        return tuple(found)

    def apply(self, change: Change) -> bool:
        """Take in a change of the store; whether it was one of a schema."""
        if not change.key.startswith(SCHEMAS):
            return False
        name = change.key[len(SCHEMAS) :]
        if change.value is None or problem_with(change.value):
            self._by_name.pop(name, None)
        else:
            self._by_name[name] = Schema(
                name, change.value, change.revision, change.time_s, change.writer
            )
        self.generation += 1
        return True

    def adopt(self, entries: Iterable[Entry]) -> None:
        """Become what `entries` say; those of other keys are left out."""
        wanted = _named(entries)
        if wanted != self._by_name:
            self._by_name = wanted
            self.generation += 1

    def agrees(self, entries: Iterable[Entry]) -> bool:
        """Whether `entries` are just what is here."""
        return _named(entries) == self._by_name

    def _look(self, name: str, instead: Schema | None) -> Schema | None:
        if instead is not None and instead.name == name:
            return instead
        return self._by_name.get(name)


def check_name(name: str) -> str:
    """Return `name` if a schema can have it: a key, or the beginning of keys up to a slash; `UsageError` otherwise."""
    return check_prefix(name) if name.endswith("/") else check_key(name)


def _named(entries: Iterable[Entry]) -> dict[str, Schema]:
    return {
        (name := entry.key[len(SCHEMAS) :]): Schema(
            name, entry.value, entry.revision, entry.time_s, entry.writer
        )
        for entry in entries
        if entry.key.startswith(SCHEMAS) and not problem_with(entry.value)
    }
