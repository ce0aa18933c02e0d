"""Managed proxies: how each stands, what its sources would make of it, its history, and applying or going back by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pillion.api.answers import json_answer
from pillion.api.components import Nothing
from pillion.api.query import body
from pillion.errors import RefusedError
from pillion.proxies.overview import ProxyList

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pillion.api.context import Context
    from pillion.http.server import Request, Response
    from pillion.proxies.fleet import Fleet

T = TypeVar("T")

# Longer than a check, a load, a proof and the way back together take, in the usual case.
_PATIENCE_S = 100.0


class ApplyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`force` applies what the guard holds back: a source that has turned empty, or lost most of its members."""

    force: bool = False


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`version` is one of the history; without it, the last one that served before the present one."""

    version: str = ""


async def get_proxies(context: Context, _request: Request, _values: tuple[str, ...]) -> Response:
    """Every proxy."""
    fleet = context.proxies
    return json_answer(ProxyList([] if fleet is None else await fleet.views()))


async def get_proxy(context: Context, _request: Request, values: tuple[str, ...]) -> Response:
    """One proxy."""
    return json_answer(await _fleet(context, values[0]).view(values[0]))


async def get_history(context: Context, _request: Request, values: tuple[str, ...]) -> Response:
    """What became of its versions."""
    return json_answer(await _fleet(context, values[0]).history(values[0]))


async def get_version(context: Context, _request: Request, values: tuple[str, ...]) -> Response:
    """One version with its files and what it changed."""
    return json_answer(await _fleet(context, values[0]).version(*values))


async def post_render(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """What would be applied now."""
    await body(request, Nothing)
    return json_answer(await _in_time(_fleet(context, values[0]).preview(values[0])))


async def post_apply(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Apply now, and answer when it is known what has come of it."""
    wanted = await body(request, ApplyRequest)
    fleet = _fleet(context, values[0])
    return json_answer(await _in_time(fleet.apply(values[0], forced=wanted.force)))


async def post_rollback(context: Context, request: Request, values: tuple[str, ...]) -> Response:
    """Go back, and answer when it is known what has come of it."""
    wanted = await body(request, RollbackRequest)
    fleet = _fleet(context, values[0])
    return json_answer(await _in_time(fleet.roll_back(values[0], wanted.version)))


def _fleet(context: Context, name: str) -> Fleet:
    if context.proxies is None:
        raise RefusedError(
            404,
            "Not Found",
            f"cannot find the proxy {name[:64]!r}; there is none: set [[proxies]] or [offload] in pillion.toml",
        )
    return context.proxies


async def _in_time(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await work
    except TimeoutError:
        raise RefusedError(
            504,
            "Gateway Timeout",
            f"cannot tell what has come of it within {_PATIENCE_S:g} s; it goes on, see `pillion proxy status`",
        ) from None
