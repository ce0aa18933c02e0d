"""The command line as data for completion, taken from the argparse tree, so that a new option completes by itself."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from pillion.settings.app import SIGNALS

NOTHING = ""
FILE = "file"
DIRECTORY = "directory"
PROGRAM = "program"
INSTANCES = "instances"
COMPONENTS = "components"
SETTINGS = "settings"
LIMITS = "limits"
PROXIES = "proxies"

LISTED = (INSTANCES, COMPONENTS, SETTINGS, LIMITS, PROXIES)
"""What only a running pillion knows: scripts ask `pillion completion --list`."""


class Values(NamedTuple):
    """What may stand for an argument: fixed words, or one of the kinds above."""

    kind: str = NOTHING
    words: tuple[str, ...] = ()


# What an argument's metavar says about its values. A name alone is not enough: --name names a new instance.
_BY_METAVAR = {
    "FILE": Values(FILE),
    "PATH": Values(FILE),
    "DIRECTORY": Values(DIRECTORY),
    "a.b=v": Values(SETTINGS),
    "KEY=VALUE": Values(LIMITS),
    "-- COMMAND": Values(PROGRAM),
    "PROXY": Values(PROXIES),
    "LEVEL": Values(words=("trace", "debug", "info", "warn", "error", "fatal")),
    "NAMES": Values(words=("stdout", "stderr", "api", "sidecar", "events", "requests", "spans")),
    "SIGNAL": Values(words=SIGNALS),
}


class Option(NamedTuple):
    """An option with all its spellings; `values` is None for a flag."""

    names: tuple[str, ...]
    help: str
    values: Values | None


class CommandShape(NamedTuple):
    """A command: its options, and its positional arguments in order, the last of which may repeat."""

    name: str
    help: str
    options: tuple[Option, ...]
    positionals: tuple[Values, ...]


def shape_of(parser: argparse.ArgumentParser) -> tuple[CommandShape, ...]:
    """Every command of `parser`; the first, with an empty name, is the program itself."""
    found = [CommandShape("", "", _options(parser), ())]
    for action in parser._actions:  # argparse offers no other way to look at a parser
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, sub in action.choices.items():
                found.append(
                    CommandShape(name, helps.get(name, ""), _options(sub), _positionals(sub))
                )
    return tuple(found)


def _options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    return tuple(
        Option(
            tuple(action.option_strings),
            _plain(action),
            None if action.nargs == 0 else _values(action),
        )
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    )


def _positionals(parser: argparse.ArgumentParser) -> tuple[Values, ...]:
    return tuple(_values(action) for action in parser._actions if not action.option_strings)


def _values(action: argparse.Action) -> Values:
    if action.choices is not None:
        return Values(words=tuple(str(choice) for choice in action.choices))
    if action.dest == "instance":
        return Values(INSTANCES)
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if action.dest == "component" or (metavar == "NAME" and not action.option_strings):
        return Values(COMPONENTS)
    return _BY_METAVAR.get(metavar, Values())


def _plain(action: argparse.Action) -> str:
    """The help on one short line: a menu has no room for more."""
    text = " ".join((action.help or "").replace("%%", "%").split())
    return text if len(text) <= 80 else text[:79] + "…"
