"""Configuration keys over the settings: `ambassador/upstreams/orders/breaker/consecutive` = 3 changes the policy of every instance that reads it.

All keys together are one change, checked by the settings' own kinds as if they stood in the file; with one that is wrong none holds. What the
keeper binds and whom the proxy lets out is the settings file's alone: configuration can be written by apps.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, cast

from pillion.settings.checks import contradictions
from pillion.settings.kinds import UnfitError
from pillion.settings.problems import Finding, Place, Problem, SettingsError, dotted
from pillion.settings.shapes import Table
from pillion.settings.tables import Tablelist, Tablemap
from pillion.settings.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings import Settings
    from pillion.settings.ambassador import Ambassador
    from pillion.settings.kinds import Kind

SECTION = "ambassador"
PREFIX = f"{SECTION}/"
"""What a key begins with; the rest is the setting's path, with a number for a place in a list."""
OPEN = ("upstreams", "routes", "http", "log", "trace")
"""The settings of the section that keys may change."""
SOURCE = "configuration"
MOST_KEYS = 10_000


def overlaid(settings: Settings, values: Mapping[str, object]) -> Settings:
    """`settings` with `values` (whole keys, JSON values) over them; null takes a setting back to its default.

    Tables are merged, lists replaced. Raises `SettingsError` with every problem; nothing of `values` holds then.
    """
    if not values:
        return settings
    if len(values) > MOST_KEYS:
        raise SettingsError([_problem("", f"cannot use {len(values)} keys: {MOST_KEYS} at most")])
    table = _table()
    raw = cast("dict[str, object]", table.written(settings.ambassador))
    # A shorter key is the ground on which a longer one stands.
    problems = [
        problem
        for key in sorted(values, key=lambda key: (key.count("/"), key))
        if (problem := _put(table, raw, key, deepcopy(values[key]))) is not None
    ]
    if problems:
        raise SettingsError(problems)
    _without_listeners(raw, settings.ambassador)
    place = Place((SECTION,))
    try:
        read = cast("Ambassador", table.read(raw, place, settings.ambassador))
    except (UnfitError, RecursionError) as error:
        raise SettingsError([_problem("", f"cannot use it: {error}")]) from error
    findings = place.findings or _fixed(settings.ambassador, read)
    if not findings:
        found = settings.replace(ambassador=read)
        before = contradictions(settings)
        findings = [one for one in contradictions(found) if one not in before]
        if not findings:
            return found
    raise SettingsError([_placed(one) for one in findings])


def _table() -> Table:
    table = ROOT.member(SECTION)
    assert isinstance(table, Table)
    return table


def _put(table: Table, raw: dict[str, object], key: str, value: object) -> Problem | None:
    """Put one key's value into `raw`, or say why that cannot be."""
    path = key.removeprefix(PREFIX).split("/")
    if path[0] not in OPEN:
        return _problem(
            key,
            f"cannot be changed by the configuration, only {', '.join(OPEN)}; set it in pillion.toml",
        )
    at: dict[str, object] = raw
    kind: Kind | None = table
    while len(path) > 1:
        name = path.pop(0)
        kind = _inside(kind, name)
        if isinstance(kind, Tablelist):
            element = _element(at, name, path.pop(0))
            if element is None:
                return _problem(key, "there is no such place in the list; numbers begin with 0")
            kind = kind.table
            if not path:
                _replace(element, value)
                return None
            at = element
            continue
        below = at.get(name)
        if not isinstance(below, dict):
            short = kind.shorthand if isinstance(kind, Table) and below is not None else ""
            below = at[name] = {short: below} if short else {}
        at = below
    _merge(at, path[0], value)
    return None


def _inside(kind: Kind | None, name: str) -> Kind | None:
    if isinstance(kind, Table):
        return kind.member(name)
    return kind.table if isinstance(kind, Tablemap) else None


def _element(at: dict[str, object], name: str, index: str) -> dict[str, object] | None:
    """The table at the place `index` of the list `name`, a new one right behind its end; None further on."""
    held = at.get(name)
    entries: list[object] = list(held) if isinstance(held, list) else []
    if not (index.isascii() and index.isdigit()) or len(index) > 4 or int(index) > len(entries):
        return None
    place = int(index)
    if place == len(entries):
        entries.append({})
    one = entries[place]
    element = dict(one) if isinstance(one, dict) else {}
    entries[place] = element
    at[name] = entries
    return element


def _replace(element: dict[str, object], value: object) -> None:
    element.clear()
    if isinstance(value, dict):
        element.update(value)


def _merge(at: dict[str, object], name: str, value: object) -> None:
    if value is None:
        at.pop(name, None)
        return
    held = at.get(name)
    if isinstance(value, dict) and isinstance(held, dict):
        for key, one in value.items():
            _merge(held, str(key), one)
    else:
        at[name] = value


def _without_listeners(raw: dict[str, object], before: Ambassador) -> None:
    """An upstream that the settings do not have gets no local port: the keeper binds those at its start and at a reload."""
    upstreams = raw.get("upstreams")
    if not isinstance(upstreams, dict):
        return
    for name, upstream in upstreams.items():
        if name not in before.upstreams and isinstance(upstream, dict):
            upstream.setdefault("listen", "off")


def _fixed(before: Ambassador, after: Ambassador) -> list[Finding]:
    """What may not differ."""
    findings = []
    for name, upstream in before.upstreams.items():
        path = (SECTION, "upstreams", name)
        changed = after.upstreams.get(name)
        if changed is None:
            findings.append(Finding(path, "cannot be taken away by the configuration"))
        elif changed.listen != upstream.listen:
            findings.append(Finding((*path, "listen"), "cannot be changed by the configuration"))
    for name, upstream in after.upstreams.items():
        if name not in before.upstreams and upstream.listen is not None:
            at = (SECTION, "upstreams", name, "listen")
            findings.append(Finding(at, "cannot be given by the configuration"))
    return findings


def _placed(finding: Finding) -> Problem:
    return Problem(
        None,
        dotted(finding.path),
        finding.message,
        finding.expected,
        finding.suggestion,
        SOURCE,
    )


def _problem(key: str, message: str) -> Problem:
    return Problem(None, key, message, source=SOURCE)
