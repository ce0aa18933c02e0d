"""`pillion config watch`: every change as it happens, over the end of any agent: it takes up again where it was."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.cli import api_client
from pillion.cli.config_service import ConfigService, path_of, shown, target
from pillion.cli.json_output import print_json_line
from pillion.cli.table import has_colour, paint, printable
from pillion.errors import RefusedError, UnreachableError
from pillion.keeper.places import is_running

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

# For a new agent to come up; nothing tells us when it has.
_AGAIN_S = 0.2
_STYLES = {"put": "green", "delete": "red", "reset": "yellow"}


class ServerEvent(NamedTuple):
    """One event of a stream; `id` is empty when it has none."""

    kind: str
    data: str
    id: str


class EventReader:
    """Server-sent events from their lines (WHATWG HTML, section 9.2.6)."""

    def __init__(self) -> None:
        self._kind = ""
        self._id = ""
        self._data: list[str] = []

    def line(self, line: bytes) -> ServerEvent | None:
        """Take in one line without its end; the event that is complete with it."""
        text = line.decode(errors="replace").removesuffix("\r")
        if not text:
            event = ServerEvent(self._kind, "\n".join(self._data), self._id)
            complete = bool(self._data)
            self._kind, self._id, self._data = "", "", []
            return event if complete else None
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None


class _Change(msgspec.Struct):
    key: str = ""
    layer: str = ""
    revision: int = 0
    value: object = None
    omitted: str = ""


def watch(args: argparse.Namespace) -> int:
    """Print the present state and every change, until the instance ends or one has seen enough."""
    service = ConfigService(args)
    path = _path(args)
    colour = has_colour(sys.stdout)
    for event in _events(service, path):
        if args.json:
            body = msgspec.json.decode(event.data)
            print_json_line({"event": event.kind, "id": event.id or None, "data": body})
        elif event.kind in _STYLES:
            sys.stdout.write(f"{describe(event, colour=colour)}\n")
            sys.stdout.flush()
    return 0


def describe(event: ServerEvent, *, colour: bool) -> str:
    """One change in a line for people."""
    kind = paint(f"{event.kind:<6}", _STYLES.get(event.kind, ""), colour=colour)
    if event.kind == "reset":
        return f"{kind} what was seen has been forgotten; the present state follows"
    change = msgspec.json.decode(event.data, type=_Change)
    where = f"({change.layer}:{change.revision})"
    if event.kind == "delete":
        return f"{kind} {printable(change.key)} {where}"
    value = f"({change.omitted})" if change.omitted else shown(change.value)
    return f"{kind} {printable(change.key)} = {printable(value)} {where}"


def _path(args: argparse.Namespace) -> str:
    """A key alone, or with a slash at its end all keys below it, or everything."""
    name = args.words[0] if args.words else ""
    if name and not name.endswith("/"):
        return target(path_of("config", name), {"layer": args.layer})
    return target("/v1/config", {"prefix": name or None, "layer": args.layer})


def _events(service: ConfigService, path: str) -> Iterator[ServerEvent]:
    last = ""
    while True:
        reader = EventReader()
        more = [(b"last-event-id", last.encode())] if last else []
        try:
            for line in api_client.lines(
                service.socket, path, follow=True, accept=b"text/event-stream", more=more
            ):
                event = reader.line(line)
                if event is not None:
                    yield event
                    last = event.id or last
        except UnreachableError:
            if not last and is_running(service.runtime_dir):
                raise
        except RefusedError as error:
            # A new agent whose store is not there yet; before the first event it is an answer.
            if not last or error.status != 503:
                raise
        if not is_running(service.runtime_dir):
            return
        # The agent was replaced, or has died; the next one knows the same revisions.
        select.select([], [], [], _AGAIN_S)
