"""What a route is: a row of the table from which dispatch, access and the OpenAPI document are made."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.api.context import Context
    from pillion.http.server import Request, Response

    Handler: TypeAlias = Callable[
        [Context, Request, tuple[str, ...]], Response | Awaitable[Response]
    ]

JSON = "application/json"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain"
# What writers of one JSON object a line call it; there is no registered name.
JSON_LINES = (NDJSON, "application/jsonl", "application/x-jsonlines")
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Role(enum.IntEnum):
    """Who may use a route: a higher role may do all that a lower one may."""

    PUBLIC = 0
    APP = 1
    OPERATOR = 2


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter; `schema` is its JSON Schema."""

    name: str
    schema: dict[str, object]
    description: str


class Answer(msgspec.Struct, frozen=True):
    """What a route answers with `status`: JSON of the type `model`, or the media types alone."""

    status: int
    description: str
    model: type | None = None
    media: tuple[str, ...] = (JSON,)


class Route(msgspec.Struct, frozen=True):
    """One row: `path` is a template, `{name}` one segment, `{name+}` the rest of it; `body` the type of the request's JSON body.

    `media` are the media types of a body that is no JSON document.

    `refusals` are the statuses of problem details beyond those that every route may answer.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    description: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: type | None = None
    media: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    probe: bool = False

    @property
    def operation(self) -> str:
        """An identifier for generated clients: `post_components_name_restart`."""
        words = (
            self.path.replace("+}", "}")
            .replace("{", "")
            .replace("}", "")
            .replace(".", "_")
            .split("/")
        )
        return "_".join([self.method.lower(), *(word for word in words if word not in ("", "v1"))])
