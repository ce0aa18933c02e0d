"""What differs between two settings, and what it takes to apply it: a reload says so instead of guessing."""

from __future__ import annotations

from pillion.settings.lean import NamedTuple
from pillion.settings.problems import Path, dotted
from pillion.settings.record import LIVE, Record
from pillion.settings.shapes import Strmap, Table
from pillion.settings.tables import Tablelist, Tablemap
from pillion.settings.tree import ROOT, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Change(NamedTuple):
    """One setting that differs. `restart` is the component that must restart, "instance" for `pillion run` as a whole, or
    empty when the change is applied live. `old` and `new` are field values (seconds, bytes); None: not set. A table that is
    only in one of them is one change, its record the value."""

    path: str
    old: object
    new: object
    restart: str

    @property
    def live(self) -> bool:
        """Whether it can be applied while everything runs."""
        return self.restart == LIVE


def diff(old: Settings, new: Settings) -> list[Change]:
    """Every setting that differs, in the order of the documentation."""
    return _tables(ROOT, old, new, ())


def _tables(table: Table, old: object, new: object, prefix: Path) -> list[Change]:
    found: list[Change] = []
    for member in table.base.members:
        path = (*prefix, member.name)
        before, after = getattr(old, member.attribute), getattr(new, member.attribute)
        if before == after:
            continue
        kind = member.spec.kind
        if isinstance(kind, Tablemap):
            found += _named(kind, before, after, path, member.spec.restart)
        elif isinstance(kind, Tablelist):
            found += _listed(kind, before, after, path, member.spec.restart)
        elif isinstance(kind, Table) and before is not None and after is not None:
            found += _tables(kind, before, after, path)
        elif isinstance(kind, Strmap):
            found += _maps(before, after, path, member.spec.restart)
        else:
            found.append(Change(dotted(path), before, after, member.spec.restart))
    return found


def _maps(old: Mapping[str, str], new: Mapping[str, str], path: Path, restart: str) -> list[Change]:
    return [
        Change(dotted((*path, key)), old.get(key), new.get(key), restart)
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _named(
    kind: Tablemap, old: Mapping[str, Record], new: Mapping[str, Record], path: Path, restart: str
) -> list[Change]:
    """Entries by their names: one that came or went is a change, of one that stayed each member that differs."""
    found: list[Change] = []
    for name in sorted({*old, *new}):
        found += _entry(kind.table, old.get(name), new.get(name), (*path, name), restart)
    return found


def _listed(
    kind: Tablelist, old: tuple[Record, ...], new: tuple[Record, ...], path: Path, restart: str
) -> list[Change]:
    """Entries by their places."""
    found: list[Change] = []
    for at in range(max(len(old), len(new))):
        before = old[at] if at < len(old) else None
        after = new[at] if at < len(new) else None
        found += _entry(kind.table, before, after, (*path, at), restart)
    return found


def _entry(
    table: Table, old: Record | None, new: Record | None, path: Path, restart: str
) -> list[Change]:
    if old is None or new is None:
        return [Change(dotted(path), old, new, restart)]
    return _tables(table, old, new, path)
