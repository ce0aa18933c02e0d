"""Where the values of templates come from: one source for each kind of reference, and one word from a source to all that use what has
changed.

A source gives the last that it knew when it cannot ask, and says for how long that may have been wrong: stale beats absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from pillion.errors import PillionError
from pillion.proxies.templating.references import Reference, SourceKind

MOST_REFERENCES = 1000
"""What one proxy may use; templates of more ask for everything below a key at once."""

Listener: TypeAlias = Callable[[SourceKind, frozenset[str]], None]
"""Told of the kind and the names that have changed; no names: any of them may have."""


class SourceError(PillionError):
    """A source has no value to give at present, not even an old one; trying again may help."""


class Source(Protocol):
    """What one kind of reference stands for."""

    async def fetch(self, name: str) -> object:
        """The value of that name, as `references.Reference` says; raises `SourceError`."""

    def stale_s(self) -> int | None:
        """For how many seconds what it gives may have been wrong; None while it is current."""


class Watching(Protocol):
    """A source that has to be told what to look at, since nobody tells it of changes unasked."""

    def watch(self, names: frozenset[str]) -> None:
        """Tell of changes of these from now on, and of nothing else."""


class Sources:
    """All sources of one agent, and the proxies that use them. A source calls `changed`; each proxy has its `used` here."""

    def __init__(self) -> None:
        self._sources: dict[SourceKind, Source] = {}
        self._watching: dict[SourceKind, Watching] = {}
        self._used: dict[str, frozenset[Reference]] = {}
        self._callbacks: dict[str, Callable[[], None]] = {}

    def add(self, kind: SourceKind, source: Source, watching: Watching | None = None) -> None:
        """Have references of `kind` mean `source`, which is told what is used when it is given as `watching` too."""
        self._sources[kind] = source
        if watching is not None:
            self._watching[kind] = watching

    async def fetch(self, references: Iterable[Reference]) -> dict[Reference, object]:
        """The values of `references`; raises `SourceError` for the first that has none."""
        found: dict[Reference, object] = {}
        for one in references:
            source = self._sources.get(one.kind)
            if source is None:
                raise SourceError(f"cannot read {one}: this agent has no such source")
            found[one] = await source.fetch(one.name)
        return found

    def stale_s(self, used: Iterable[Reference]) -> int | None:
        """The age of the oldest of what is used that may be wrong; None while all is current."""
        kinds = {one.kind for one in used}
        ages = [source.stale_s() for kind, source in sorted(self._sources.items()) if kind in kinds]
        return max((age for age in ages if age is not None), default=None)

    def use(self, proxy: str, used: frozenset[Reference], callback: Callable[[], None]) -> None:
        """Have `callback` called when one of `used` changes, instead of what was said for `proxy` before."""
        self._callbacks[proxy] = callback
        if self._used.get(proxy) != used:
            self._used[proxy] = used
            self._watch()

    def forget(self, proxy: str) -> None:
        """There is no such proxy any more."""
        self._callbacks.pop(proxy, None)
        if self._used.pop(proxy, None) is not None:
            self._watch()

    def changed(self, kind: SourceKind, names: frozenset[str]) -> None:
        """Tell those who use one of `names` of `kind`, or anything of it when there are none."""
        for proxy, used in list(self._used.items()):
            if concerned(used, kind, names):
                self._callbacks[proxy]()

    def _watch(self) -> None:
        for kind, watching in self._watching.items():
            watching.watch(
                frozenset(
                    one.name for used in self._used.values() for one in used if one.kind == kind
                )
            )


def concerned(used: Iterable[Reference], kind: SourceKind, names: frozenset[str]) -> bool:
    """Whether a change of `names` of `kind` (none: of any) concerns whoever uses `used`.

    Configuration has two kinds of reference: a key, and all keys that begin with something.
    """
    for one in used:
        if one.kind == kind and (not names or not one.name or one.name in names):
            return True
        if (
            kind == "config"
            and one.kind == "tree"
            and (not names or any(name.startswith(one.name) for name in names))
        ):
            return True
    return False
