"""`GET /v1/openapi.json`: made once, when it is first asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pillion.http.server import Response

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request


@cache
def document() -> bytes:
    """The OpenAPI document of the whole table."""
    # The table names this module's handler, so it can only be imported from within.
    from pillion.api.openapi import make_document
    from pillion.api.table import ROUTES

    return make_document(ROUTES)


def get_document(_context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """The document."""
    return Response(200, [(b"content-type", b"application/json")], document())
