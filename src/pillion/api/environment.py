"""`GET /v1/environment`: where the app runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.api.answers import json_answer
from pillion.api.context import given

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response


async def get_environment(
    context: Context, _request: Request, _values: tuple[str, ...]
) -> Response:
    """The facts as they are now; without a keeper that answers, with what it said last."""
    surroundings = given(context.surroundings)
    return json_answer(await surroundings.describe(await context.best_status()))
