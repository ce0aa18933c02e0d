"""`pillion store`: how the store is, straight from its file, and an empty one where the old is gone for good."""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.instances import (
    SOCKET_VARIABLE,
    add_instance_argument,
    all_instances,
    chosen_instance,
)
from pillion.cli.json_output import print_json
from pillion.cli.measures import human_size
from pillion.cli.table import has_colour, paint, write_lines
from pillion.errors import PillionError, UsageError
from pillion.keeper.places import SETTINGS_FILE
from pillion.store.interface import StoreUnavailableError
from pillion.store.place import store_path
from pillion.store.sqlite_faults import fault_of
from pillion.store.sqlite_file import StoreFile
from pillion.store.sqlite_reading import compacted_revision

if TYPE_CHECKING:
    import argparse

    from pillion.cli.instances import Found

NAME = "store"
SUMMARY = "show how the store is, or begin an empty one"

_BUSY_S = 5.0
_PROBLEMS = 20
_WIDTH = 11


class _Store(msgspec.Struct):
    url: str = "sqlite"


class _Settings(msgspec.Struct):
    store: _Store = msgspec.field(default_factory=_Store)


class StoreStatus(msgspec.Struct, kw_only=True):
    """How a store is. `integrity` is `ok`, or what is wrong with the file; `reason` why it cannot be used."""

    path: str
    engine: str = "sqlite"
    usable: bool
    writable: bool = False
    reason: str = ""
    store: str = ""
    size_bytes: int = 0
    keys: int = 0
    value_bytes: int = 0
    revision: int = 0
    compacted: int = 0
    changes: int = 0
    leases: int = 0
    integrity: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "action",
        choices=("status", "create"),
        nargs="?",
        default="status",
        help="status: how it is, with a check of the whole file; create: an empty one where there is none",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the store that is meant, as in store.url; default: that of the instance, else sqlite",
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show or create it. 1 when it cannot be used."""
    path = _path(args)
    if args.action == "create" and not StoreFile(path, sync="full").create():
        raise PillionError(
            f"cannot create the store {path}: there is a file already; move it away first if it is not wanted"
        )
    status = look_at(path)
    if args.json:
        print_json(status)
    else:
        write_lines(_lines(status, colour=has_colour(sys.stdout)))
    return 0 if status.usable else 1


def look_at(path: str) -> StoreStatus:
    """How the store at `path` is; never raises for one that is bad."""
    file = StoreFile(path, sync="full", busy_s=_BUSY_S)
    size = sum(_size(name) for name in (path, f"{path}-wal", f"{path}-shm"))
    try:
        opened = file.open()
        try:
            return _status(file, opened.store, size)
        except (sqlite3.Error, OSError) as error:
            raise fault_of(error, path, busy_s=_BUSY_S).error from error
    except StoreUnavailableError as error:
        return StoreStatus(path=path, usable=False, reason=str(error), size_bytes=size)
    finally:
        file.close()


def _status(file: StoreFile, store: str, size: int) -> StoreStatus:
    db = file.db
    problems = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({_PROBLEMS})")]
    (keys, leases, changes) = db.execute(
        "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM leases), (SELECT count(*) FROM changes)"
    ).fetchone()
    revision, value_bytes = db.execute(
        "SELECT revision, live_bytes FROM changes ORDER BY revision DESC LIMIT 1"
    ).fetchone() or (0, 0)
    good = problems == ["ok"]
    return StoreStatus(
        path=file.path,
        usable=good,
        writable=good and not file.read_only,
        reason="" if good else f"the store {file.path} is damaged",
        store=store,
        size_bytes=size,
        keys=keys,
        value_bytes=value_bytes,
        revision=revision,
        compacted=compacted_revision(db),
        changes=changes,
        leases=leases,
        integrity="ok" if good else "; ".join(problems),
    )


def _lines(status: StoreStatus, *, colour: bool) -> list[str]:
    word = "usable" if status.writable else "read-only" if status.usable else "not usable"
    style = "green" if status.writable else "yellow" if status.usable else "red"
    rows = [("store", status.path), ("engine", status.engine)]
    rows.append(("state", paint(word, style, colour=colour)))
    if status.reason:
        rows.append(("reason", status.reason))
    if status.store:
        rows += [
            ("id", status.store),
            (
                "size",
                f"{human_size(status.size_bytes)} on disk, {human_size(status.value_bytes)} of keys and values",
            ),
            ("keys", str(status.keys)),
            ("leases", str(status.leases)),
            (
                "revision",
                f"{status.revision}, history of {status.changes} writes from {status.compacted}",
            ),
            ("integrity", status.integrity),
        ]
    return [f"{name:<{_WIDTH}}{text}" for name, text in rows]


def _path(args: argparse.Namespace) -> str:
    url = args.url or _url_of_instance(args.instance)
    try:
        return store_path(url)
    except ValueError as error:
        raise UsageError(f"{error}") from error


def _url_of_instance(name: str | None) -> str:
    """What the instance that is meant uses; what all that run use; else what one uses that says nothing."""
    if name is not None or os.environ.get(SOCKET_VARIABLE):
        return _url(chosen_instance(name))
    urls = {_url(one) for one in all_instances() if one.running}
    if len(urls) > 1:
        raise UsageError(
            f"cannot tell which store is meant: the instances use {', '.join(sorted(urls))}; "
            "add --instance NAME or --url URL"
        )
    return urls.pop() if urls else "sqlite"


def _url(found: Found) -> str:
    try:
        with open(found.path(SETTINGS_FILE), "rb") as file:
            return msgspec.json.decode(file.read(1 << 20), type=_Settings).store.url
    except (OSError, msgspec.DecodeError):
        return "sqlite"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
