"""The metadata service over HTTP, within bounds: one second for a step, three for everything, 64 KiB for an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.environment.cloud import SERVICE, Told, ask_provider
from pillion.environment.facts import Cloud

if TYPE_CHECKING:
    from pillion.environment.cloud import Fields

STEP_S = 1.0
TOTAL_S = 3.0
ANSWER_BYTES = 64 * 1024


async def fetch(provider: str, service: str = SERVICE, total_s: float = TOTAL_S) -> Cloud:
    """What `service` (host:port) tells as the metadata service of `provider`; with `error` when it does not within `total_s`."""
    # Here and not above: few hosts are a cloud's, and the client brings TLS with it.
    from pillion.http.client import Client, ClientError, ClientLimits

    limits = ClientLimits(connect_timeout_s=STEP_S, read_timeout_s=STEP_S, total_timeout_s=total_s)

    async with Client(limits) as client:

        async def ask(method: str, path: str, headers: Fields) -> Told:
            try:
                url = f"http://{service}{path}"
                async with await client.request(method, url, headers=headers) as answer:
                    body = await answer.read(ANSWER_BYTES)
                    return Told(answer.status, dict(answer.headers.items), body)
            # A token that is no header value is a ValueError.
            except (ClientError, ValueError) as error:
                raise OSError(str(error)) from error

        try:
            async with asyncio.timeout(total_s):
                return await ask_provider(provider, ask)
        except TimeoutError:
            return Cloud(
                provider=provider,
                error=f"cannot ask the metadata service: no complete answer within {total_s:g} s",
            )
