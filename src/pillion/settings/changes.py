"""What differs between two settings, and what it takes to apply it: a reload says so instead of guessing."""

from collections.abc import Mapping
from typing import NamedTuple

from pillion.settings.problems import Path, dotted
from pillion.settings.record import LIVE
from pillion.settings.shapes import Strmap, Table
from pillion.settings.tree import ROOT, Settings


class Change(NamedTuple):
    """One setting that differs. `restart` is the component that must restart, "instance" for `pillion run` as a whole, or
    empty when the change is applied live. `old` and `new` are field values (seconds, bytes); None: not set."""

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
        if isinstance(kind, Table) and before is not None and after is not None:
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
