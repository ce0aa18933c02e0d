"""The commands besides `run` and `attach`: one table, from which only the command that runs is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pillion import __version__
from pillion.errors import PillionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE = 0
FAILED = 1
BAD_USAGE = 2


class Command(NamedTuple):
    """A row of the table: what the user types, where it lives, what it does in a few words."""

    name: str
    module: str
    summary: str


class CommandModule(Protocol):
    """What a command's module offers."""

    NAME: str
    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code."""


COMMANDS = (
    Command("run", "pillion.cli.run_arguments", "run a command with its sidecar"),
    Command("attach", "pillion.cli.run_arguments", "give a running process a sidecar"),
    Command("init", "pillion.cli.init", "write a commented pillion.toml from what is found here"),
    Command("check", "pillion.cli.check", "validate a settings file, every problem at once"),
    Command("schema", "pillion.cli.schema", "print the JSON Schema of the settings"),
    Command("status", "pillion.cli.status", "show an instance, or all of them"),
    Command("top", "pillion.cli.top", "show the processes, refreshed"),
    Command("components", "pillion.cli.components", "list the processes of an instance"),
    Command("health", "pillion.cli.health", "show the app's health and its checks"),
    Command("logs", "pillion.cli.logs", "show what the app wrote"),
    Command("events", "pillion.cli.events", "show what happened to every component, and why"),
    Command(
        "requests", "pillion.cli.requests", "show the requests that went through the ambassador"
    ),
    Command("routes", "pillion.cli.routes", "show where requests go: routes, upstreams, endpoints"),
    Command(
        "breakers",
        "pillion.cli.breakers",
        "show the circuit breakers, or open or close one by hand",
    ),
    Command(
        "proxy",
        "pillion.cli.proxy",
        "show managed proxies, what would change, and apply or roll back",
    ),
    Command("environment", "pillion.cli.environment", "show where the app runs"),
    Command("start", "pillion.cli.start", "start a stopped component"),
    Command("restart", "pillion.cli.restart", "restart a component"),
    Command("stop", "pillion.cli.stop", "stop a component, or the whole instance in order"),
    Command("signal", "pillion.cli.send_signal", "send a signal to a component"),
    Command("limits", "pillion.cli.limits", "change a component's limits while it runs"),
    Command(
        "reload", "pillion.cli.reload", "read the settings again and apply what can be applied"
    ),
    Command("upgrade", "pillion.cli.upgrade", "replace the sidecar without losing a request"),
    Command("store", "pillion.cli.store", "show how the store is, or begin an empty one"),
    Command("locks", "pillion.cli.locks", "list locks, run a command under one, or release one"),
    Command("secrets", "pillion.cli.secrets", "list secrets, or read one"),
    Command(
        "services",
        "pillion.cli.services",
        "list services and their instances, or register one by hand",
    ),
    Command("resolve", "pillion.cli.resolve", "print where a service is to be found"),
    Command("config", "pillion.cli.config", "read and write the configuration"),
    Command("api", "pillion.cli.api", "print the API's OpenAPI document"),
    Command("completion", "pillion.cli.completion", "print the completion for bash, zsh or fish"),
)
# Started by cli.entry before this module is imported; they are here for help and completion.
ELSEWHERE = frozenset({"run", "attach"})

_DESCRIPTION = "The sidecar pattern as one installable program: pillion run -- COMMAND"
_EPILOG = (
    "exit codes: the app's own for run; 0 done, 1 failed, 2 bad usage or bad settings elsewhere. "
    "`pillion COMMAND --help` says more."
)


def build_parser(*only: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or one that knows the arguments of the commands `only`.

    Every command is listed either way. `build_parser("")` imports no command at all.
    """
    parser = argparse.ArgumentParser(
        prog="pillion", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"pillion {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, help=command.summary, description=_sentence(command), allow_abbrev=False
        )
        if not only or command.name in only:
            _fill(command, sub)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad usage."""
    command = next((one for one in COMMANDS if argv and one.name == argv[0]), None)
    try:
        args = build_parser(command.name if command else "").parse_args(argv)
        if command is None:
            build_parser("").print_help()
            return DONE if not argv else BAD_USAGE
        return _run(command, args)
    except SystemExit as end:  # argparse has printed its help or its complaint
        return end.code if isinstance(end.code, int) else BAD_USAGE
    except PillionError as error:
        sys.stderr.write(f"pillion: {error}\n")
        return BAD_USAGE if isinstance(error, UsageError) else FAILED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        what = error.strerror or str(error)
        sys.stderr.write(f"pillion: cannot go on:{where} {what}; is it yours to read and write?\n")
        return FAILED
    except KeyboardInterrupt:
        return 130


def _run(command: Command, args: argparse.Namespace) -> int:
    if command.name in ELSEWHERE:
        raise UsageError(
            f"cannot {command.name} from here: this is the door for the other commands; "
            f"use `pillion {command.name}`"
        )
    code = _module(command).run(args)
    sys.stdout.flush()
    return code


def _fill(command: Command, parser: argparse.ArgumentParser) -> None:
    module = importlib.import_module(command.module)
    name = f"add_{command.name}_arguments" if command.name in ELSEWHERE else "add_arguments"
    getattr(module, name)(parser)


def _module(command: Command) -> CommandModule:
    module: CommandModule = importlib.import_module(command.module)
    return module


def _sentence(command: Command) -> str:
    return command.summary[0].upper() + command.summary[1:] + "."
