"""Which instance a command means: the one named, the one inherited, or the only one that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import UsageError
from pillion.keeper import places
from pillion.model.instance import Instance

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

SOCKET_VARIABLE = "PILLION_SOCKET"
# How many names an error lists before it says how many more there are.
_LISTED = 20


class Found(msgspec.Struct, frozen=True):
    """An instance on this host: its directory, whether its keeper lives, and its record when readable."""

    name: str
    runtime_dir: str
    running: bool
    record: Instance

    def path(self, name: str) -> str:
        """The path of the file `name` in the runtime directory."""
        return f"{self.runtime_dir}/{name}"


def all_instances(root: str | None = None) -> list[Found]:
    """Every instance of this user with a runtime directory, by name; those that ended uncleanly included."""
    root = root or places.runtime_root()
    return [_found(f"{root}/{name}") for name in places.instances(root)]


def add_instance_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--instance NAME` and `--json`, which every command has."""
    parser.add_argument(
        "--instance",
        metavar="NAME",
        help="the instance that is meant; not needed with one on the host, or inside the app's shell",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def chosen_instance(
    name: str | None, environment: Mapping[str, str] = os.environ, root: str | None = None
) -> Found:
    """The instance named, else inherited through `PILLION_SOCKET`, else the only one running.

    Raises `UsageError` when there is none, or several.
    """
    root = root or places.runtime_root()
    if name is not None:
        return _named(name, root)
    if inherited := environment.get(SOCKET_VARIABLE):
        return _found(os.path.dirname(os.path.abspath(inherited)))
    running = [one for one in all_instances(root) if one.running]
    if not running:
        raise UsageError(
            f"cannot find an instance that runs in {root}; start one with `pillion run -- COMMAND`"
        )
    if len(running) > 1:
        raise UsageError(
            f"cannot tell which of {len(running)} instances is meant: {_names(running)}; "
            "add --instance NAME"
        )
    return running[0]


def _named(name: str, root: str) -> Found:
    if places.instance_name(name) == name:
        found = _found(f"{root}/{name}")
        if found.running:
            return found
    running = [one for one in all_instances(root) if one.running]
    known = f"running are: {_names(running)}" if running else "none is running"
    raise UsageError(f"cannot find a running instance named {name!r} in {root}; {known}")


def _names(found: list[Found]) -> str:
    names = ", ".join(one.name for one in found[:_LISTED])
    return names if len(found) <= _LISTED else f"{names} and {len(found) - _LISTED} more"


def _found(runtime_dir: str) -> Found:
    name = os.path.basename(runtime_dir)
    try:
        with open(f"{runtime_dir}/{places.INSTANCE_FILE}", "rb") as file:
            record = msgspec.json.decode(file.read(1 << 20), type=Instance)
    except (OSError, msgspec.DecodeError):
        # Being written, or of another version: the name and the lock say enough.
        record = Instance(name=name)
    return Found(name, runtime_dir, _is_running(runtime_dir), record)


def _is_running(runtime_dir: str) -> bool:
    try:
        return places.is_running(runtime_dir)
    except OSError:
        return False
