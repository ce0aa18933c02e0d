"""What a reload does with a changed settings file: decided here, told in the answer, carried out by the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from pillion.settings import diff
from pillion.settings.record import Record

if TYPE_CHECKING:
    from pillion.settings import Change, Settings

# Values of these settings may hold credentials: that they changed is told, not to what.
_SECRET = ("headers", "env", "request_headers", "response_headers", "values")
_SECTIONS_WITHOUT = ("secrets", "config")
_NO_VALUES = ("ambassador.proxy.env", "ambassador.log.headers")
_HIDDEN = "(hidden)"


class ChangeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that differs, with its old and new value (None: not set)."""

    path: str
    old: object
    new: object


class RestartNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that take effect when `component` restarts; `instance` is `pillion run` as a whole."""

    component: str
    settings: list[ChangeAnswer]


class ReloadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /v1/reload`: what holds now, and what needs a restart to hold."""

    applied: list[ChangeAnswer]
    needs_restart: list[RestartNeeded]


def reload_answer(old: Settings, new: Settings) -> ReloadAnswer:
    """Compare the settings in force with those in the file."""
    applied = []
    waiting: dict[str, list[ChangeAnswer]] = {}
    for change in diff(old, new):
        if change.live:
            applied.append(_told(change))
        else:
            waiting.setdefault(change.restart, []).append(_told(change))
    return ReloadAnswer(
        applied=applied,
        needs_restart=[
            RestartNeeded(component=name, settings=changes) for name, changes in waiting.items()
        ],
    )


def _told(change: Change) -> ChangeAnswer:
    if _is_secret(change.path):
        return ChangeAnswer(
            path=change.path,
            old=None if change.old is None else _HIDDEN,
            new=None if change.new is None else _HIDDEN,
        )
    return ChangeAnswer(path=change.path, old=_plain(change.old), new=_plain(change.new))


def _is_secret(path: str) -> bool:
    # What stands under secrets.NAME.env and config.env are names of variables and keys, no values.
    section, *parts = path.split(".")
    if path in _NO_VALUES:
        return False
    return section not in _SECTIONS_WITHOUT and any(part in _SECRET for part in parts)


def _plain(value: object) -> object:
    """A field's value as JSON holds it; of a table all its settings, but for those that may hold credentials."""
    if isinstance(value, Mapping):  # the default of a map is one that cannot be changed
        return {str(key): _plain(one) for key, one in value.items()}
    if not isinstance(value, Record):
        return msgspec.to_builtins(value)
    return {
        member.name: _HIDDEN
        if member.name in _SECRET and _says_values(getattr(value, member.attribute))
        else _plain(getattr(value, member.attribute))
        for member in value.members
    }


def _says_values(value: object) -> bool:
    """Whether these are names with values, and not none: a list of names and a flag hold no credentials."""
    if isinstance(value, Record):
        return any(_says_values(getattr(value, one.attribute)) for one in value.members)
    return isinstance(value, Mapping) and bool(value)
