"""Asks by HTTP, as a load balancer would: one request on a connection of its own, and the status of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion import __version__
from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    import ssl

    from pillion.health.check import Http
    from pillion.http.client import ClientLimits, ClientResponse

_AGENT = f"pillion/{__version__} (health check)"
# What is read of an answer's body: enough to leave the other side in peace, never all of an endless one.
_BODY_BYTES = 64 * 1024
_SHOWN_BYTES = 512


class HttpProbe:
    """Asks; the trust store is read once, when the first https URL is asked."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    async def ask(self, target: Http, timeout_s: float) -> Result:
        """One request of at most `timeout_s` seconds. Redirects are answers like any other."""
        from pillion.http.client import Client, ClientError

        context = None
        if target.url.startswith("https:"):
            context = await self._trust()
        try:
            async with Client(_limits(timeout_s), context=context) as client:
                answer = await client.request(target.method, target.url, headers=_fields(target))
                async with answer:
                    body = await _some(answer)
        except ClientError as error:
            return Result(Verdict.FAIL, clip(f"{error}"))
        except (ValueError, UnicodeError) as error:
            return Result(Verdict.FAIL, clip(f"cannot ask {target.url}: {error}"))
        line = f"{answer.status} {answer.reason.decode('latin-1')}".strip()
        if any(low <= answer.status <= high for low, high in target.statuses):
            return Result(Verdict.PASS, clip(line))
        return Result(Verdict.FAIL, clip(f"{line}\n{clip(body, _SHOWN_BYTES)}" if body else line))

    async def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            import asyncio
            import ssl

            self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context


def _limits(timeout_s: float) -> ClientLimits:
    from pillion.http.client import ClientLimits

    return ClientLimits(
        connect_timeout_s=timeout_s,
        read_timeout_s=timeout_s,
        total_timeout_s=timeout_s,
        max_connections=1,
        max_idle=0,
    )


def _fields(target: Http) -> list[tuple[bytes, bytes]]:
    given = [(name.encode(), value.encode()) for name, value in target.headers]
    names = {name.lower() for name, _ in given}
    fields = [(b"user-agent", _AGENT.encode()), (b"accept", b"*/*"), (b"connection", b"close")]
    return [*given, *(field for field in fields if field[0] not in names)]


async def _some(answer: ClientResponse) -> bytes:
    """The beginning of the body; an answer that stops in its middle is none, and raises as the client does."""
    shown, size = b"", 0
    async for piece in answer:
        shown = (shown + piece)[: _SHOWN_BYTES * 2]
        size += len(piece)
        if size >= _BODY_BYTES:
            break
    return shown
