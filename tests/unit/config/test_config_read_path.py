"""Reading a value is one look-up: no task, and the same answer that the long way gives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from config_running import PRICE, running, until
from memory_store import MemoryStore
from pillion.api.config import get_value
from pillion.api.context import Context
from pillion.http.codec import RequestHead, RequestParser
from pillion.http.server import Peer, Request, Response, ServerLimits

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.base.control import Control


def request(query: str = "", **fields: str) -> Request:
    """A request as the server would make it."""
    lines = ["GET /v1/config/price HTTP/1.1", "host: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    parser = RequestParser(ServerLimits().codec())
    parser.receive("\r\n".join([*lines, "", ""]).encode())
    head = parser.next_event()
    assert isinstance(head, RequestHead)
    return Request(head, "/v1/config/price", query, Peer(), "unix")


def fields_of(answer: Response) -> dict[bytes, bytes]:
    headers = answer.headers
    if isinstance(headers, bytes):
        lines = headers.removesuffix(b"\r\n").split(b"\r\n")
        return {name: value for name, _, value in (line.partition(b": ") for line in lines)}
    return dict(headers)


def shape(answer: Response) -> tuple[int, dict[bytes, bytes], object]:
    return answer.status, fields_of(answer), answer.body


def test_the_short_way_is_synchronous_and_answers_as_the_long_one(tmp_path: Path) -> None:
    async def check() -> None:
        store = MemoryStore()
        store.shared.write(PRICE, b"12.50", "w", 1.0)
        async with running(store, tmp_path) as config:
            await until(lambda: config.replica.fresh)
            context = Context(control=cast("Control", None), config=config)
            for fields in ({}, {"if_none_match": '"service:1"'}, {"if_none_match": '"service:9"'}):
                short = get_value(context, request(accept="text/html, */*", **fields), ("price",))
                assert isinstance(short, Response)
                long = get_value(
                    context, request(accept="text/event-stream;q=0", **fields), ("price",)
                )
                assert not isinstance(long, Response)
                assert shape(short) == shape(await long)
            plain = get_value(context, request(), ("price",))
            assert isinstance(plain, Response)
            assert fields_of(plain) == {
                b"content-type": b"application/json",
                b"cache-control": b"no-store",
                b"etag": b'"service:1"',
                b"pillion-revision": b"1",
            }
            store.set_health(readable=False)
            stale = get_value(context, request(), ("price",))
            assert not isinstance(stale, Response)
            assert fields_of(await stale)[b"pillion-stale"] == b"0"

    asyncio.run(check())
