"""`pillion completion bash|zsh|fish`: a script made from the parser itself, so that it cannot fall behind the commands."""

from __future__ import annotations

import argparse
import sys

from pillion.cli.completion_bash import bash_script
from pillion.cli.completion_fish import fish_script
from pillion.cli.completion_shape import (
    COMPONENTS,
    INSTANCES,
    LIMITS,
    LISTED,
    PROXIES,
    SETTINGS,
    shape_of,
)
from pillion.cli.completion_zsh import zsh_script
from pillion.errors import UsageError

NAME = "completion"
SUMMARY = "print the completion for bash, zsh or fish"

_SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
_COMPONENTS = ("app", "agent", "shipper", "ambassador")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "shell", nargs="?", choices=tuple(_SCRIPTS), help="source <(pillion completion bash)"
    )
    # For the scripts alone: what can only be known when the key is pressed.
    parser.add_argument("--list", choices=LISTED, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Print a script, or the candidates that a script asks for, one a line."""
    if args.list is not None:
        sys.stdout.write("".join(f"{word}\n" for word in _candidates(args.list)))
        return 0
    if args.shell is None:
        raise UsageError("cannot tell for which shell; pillion completion bash, zsh or fish")
    from pillion.cli.main import build_parser  # not above: that module lists this one

    sys.stdout.write(_SCRIPTS[args.shell](shape_of(build_parser())))
    return 0


def _candidates(kind: str) -> list[str]:
    if kind == INSTANCES:
        from pillion.keeper import places

        return places.instances()
    if kind == COMPONENTS:
        return [*_COMPONENTS, *_proxies(also_of_others=False)]
    if kind == PROXIES:
        return _proxies(also_of_others=True)
    if kind == SETTINGS:
        from pillion.settings.reading import setting_names

        return [f"{name}=" for name in setting_names()]
    assert kind == LIMITS, kind
    from pillion.settings.limits import Limits

    return [f"{member.name}=" for member in Limits.members]


def _proxies(*, also_of_others: bool) -> list[str]:
    """The managed proxies of all instances that their keepers run, and others' where they are wanted, by the settings that each has in force."""
    import json  # only for this

    from pillion.keeper import places
    from pillion.settings.offload import OFFLOAD

    found: set[str] = set()
    for name in places.instances():
        try:
            with open(f"{places.runtime_root()}/{name}/{places.SETTINGS_FILE}") as file:
                settings = json.load(file)
        except (OSError, ValueError):
            continue  # another user's, or one that is just going
        found.update(
            one["name"]
            for one in settings.get("proxies", ())
            if also_of_others or one["run"] == "keeper"
        )
        if settings.get("offload"):
            found.add(OFFLOAD)
    return sorted(found)
