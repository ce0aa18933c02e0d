"""`pillion signal NAME SIGNAL`: for what the app does on HUP, USR1 and the like."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from pillion.cli.component_action import act
from pillion.cli.instances import add_instance_argument
from pillion.errors import UsageError

if TYPE_CHECKING:
    import argparse

NAME = "signal"
SUMMARY = "send a signal to a component"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("name", metavar="NAME", help="app, agent, shipper, ambassador, …")
    parser.add_argument("signal", metavar="SIGNAL", help="HUP, SIGHUP or 1")
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Send it."""
    return act(args, NAME, {"signal": signal_name(args.signal)})


def signal_name(text: str) -> str:
    """The name without SIG of the signal written as `HUP`, `sighup` or `1`; `UsageError` for no signal."""
    try:
        number = int(text)
    except ValueError:
        name = text.upper().removeprefix("SIG")
        if f"SIG{name}" in signal.Signals.__members__:
            return name
    else:
        if number in set(signal.Signals):
            return signal.Signals(number).name.removeprefix("SIG")
    raise UsageError(
        f"cannot send {text!r}: there is no such signal; write HUP, TERM, USR1, … or its number"
    )
