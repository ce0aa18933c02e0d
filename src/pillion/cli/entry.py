"""Where `pillion` begins: `run` and `attach` become the keeper, everything else is a command.

Only what a keeper needs is imported here; a settings file is parsed in a forked child, so that the parser never lives in the keeper.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from pillion.keeper.plan import Plan

DEFAULT_SETTINGS = "pillion.toml"
BAD_USAGE = 2


def main(argv: Sequence[str]) -> int:
    """Run the command line. Returns the exit code."""
    if argv and argv[0] in ("run", "attach") and not _asks_for_help(argv):
        return _keep(argv[0], list(argv[1:]))
    from pillion.cli.main import main as command

    return command(argv)


def _asks_for_help(argv: Sequence[str]) -> bool:
    own = argv[: argv.index("--")] if "--" in argv else argv
    return "-h" in own or "--help" in own


class _Usage(Exception):
    """A command line that cannot be read."""


class _Arguments:
    """What stood on the command line of `run` or `attach`."""

    def __init__(self) -> None:
        self.settings: str | None = None
        self.name: str | None = None
        self.overrides: list[str] = []
        self.pid: int | None = None
        self.command: list[str] = []


def _parse(words: list[str]) -> _Arguments:
    found = _Arguments()
    rest = iter(words)
    for word in rest:
        if word == "--":
            found.command = list(rest)
            break
        option, equals, value = word.partition("=")
        if option not in ("--settings", "--name", "--set", "--pid"):
            if word.startswith("-"):
                raise _Usage(f"cannot read {word}: no such option; see pillion run --help")
            # The first word that is no option begins the command, as with env and nice.
            found.command = [word, *rest]
            break
        if not equals:
            value = next(rest, "")
        if not value:
            raise _Usage(f"cannot read {option}: a value is missing")
        if option == "--settings":
            found.settings = value
        elif option == "--name":
            found.name = value
        elif option == "--set":
            found.overrides.append(value)
        elif value.isdigit():
            found.pid = int(value)
        else:
            raise _Usage(f"cannot read --pid {value}: not a number")
    return found


def _keep(verb: str, words: list[str]) -> int:
    from pillion.cli.command_override import command_overrides

    try:
        arguments = _parse(words)
        if verb == "attach" and arguments.pid is None:
            raise _Usage("cannot attach: --pid is missing")
        if arguments.pid is not None:
            from pillion.keeper.attach import command_line

            arguments.command = command_line(arguments.pid)
        plain = arguments.settings is None and not arguments.overrides
        overrides = [*arguments.overrides, *command_overrides(arguments.command, arguments.name)]
        settings = arguments.settings
        if settings is None and os.path.exists(DEFAULT_SETTINGS):
            settings = DEFAULT_SETTINGS
        if settings is None and plain:
            plan, text = _plain_plan(arguments)
        else:
            read = _read_settings(settings, overrides)
            if isinstance(read, int):
                return read
            plan, text = read
    except _Usage as usage:
        print(f"pillion: {usage}", file=sys.stderr)
        return BAD_USAGE
    from pillion import __version__
    from pillion.keeper import run

    return run.run(
        plan, text, version=__version__, name=arguments.name, pid=arguments.pid, overrides=overrides
    )


def _plain_plan(arguments: _Arguments) -> tuple[Plan, str]:
    from pillion.keeper import places, plan
    from pillion.keeper.lean import json

    if not arguments.command:
        raise _Usage(
            "cannot run: no command given; pillion run -- COMMAND, or pillion init for a settings file"
        )
    base = os.path.basename(arguments.command[0])
    name = places.instance_name(arguments.name or base)
    settings = {
        "app": {"name": name, "command": arguments.command},
        "service": {"name": name},
    }
    return plan.default_plan(arguments.command, name), json.dumps(settings)


def _read_settings(path: str | None, overrides: list[str]) -> tuple[Plan, str] | int:
    """Parse in a child. Returns the plan and settings.json, or the exit code when the child has printed what is wrong."""
    from pillion.keeper.lean import json

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _tell_plan(path, overrides, write)
    os.close(write)
    # What the keeper is made of is loaded beside the child's work, not after it.
    from pillion.keeper import run  # noqa: F401

    with open(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        return code if code > 0 else 1
    plan, text = json.loads(data)
    return plan, text


def _tell_plan(path: str | None, overrides: list[str], write: int) -> NoReturn:
    import gc

    gc.disable()  # the child ends before there would be anything to collect
    code = 1
    try:
        from pillion.cli.plan import read_plan
        from pillion.keeper.lean import json

        message = json.dumps(read_plan(path, overrides))
        with open(write, "wb") as pipe:
            pipe.write(message.encode())
        code = 0
    except Exception as error:  # noqa: BLE001 # a forked child ends here whatever happened
        from pillion.settings import SettingsError

        print(
            f"pillion: {error}"
            if isinstance(error, SettingsError)
            else f"pillion: cannot read the settings: {error!r}",
            file=sys.stderr,
        )
        code = BAD_USAGE if isinstance(error, SettingsError) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)
