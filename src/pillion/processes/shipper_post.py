"""The receiver as the OTLP sink sees it: one method that posts, over the project's own HTTP client."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.http.client import Client, ClientError, ClientLimits
from pillion.logs.otlp import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGS_PATH = "/v1/logs"
TRACES_PATH = "/v1/traces"
# What is read of an answer: a status message, or a partial success.
_ANSWER_BYTES = 64 * 1024
_CONNECTIONS = 8


class Receiver:
    """Posts to `path` under `url`; make it inside the running loop."""

    def __init__(self, url: str, path: str, client: Client) -> None:
        self._url = url.rstrip("/") + path
        self._client = client

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post `body` and return the answer. Raises `OSError` when there is none."""
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with await self._client.request(
                "POST", self._url, headers=fields, body=body
            ) as answer:
                text = await answer.read(_ANSWER_BYTES)
                return Answer(
                    answer.status,
                    text,
                    _header(answer.headers.get(b"retry-after")),
                    _header(answer.headers.get(b"content-type")),
                )
        except (ClientError, ValueError) as error:
            raise OSError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def receiver(url: str, path: str = LOGS_PATH, *, ca_file: str | None, timeout_s: float) -> Receiver:
    """Return the receiver at `url`, an http or https URL without `path`.

    `timeout_s` bounds a request. Raises `PillionError` when the certificates of `ca_file` cannot be read.
    """
    context: ssl.SSLContext | None = None
    if ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise PillionError(
                f"cannot read the certificates in {ca_file}: {error}; set telemetry.ca_file"
            ) from error
    limits = ClientLimits(
        connect_timeout_s=min(5.0, timeout_s),
        read_timeout_s=timeout_s,
        total_timeout_s=timeout_s,
        max_connections=_CONNECTIONS,
        max_idle=_CONNECTIONS,
    )
    return Receiver(url, path, Client(limits, context=context))


def _header(value: bytes | None) -> str:
    return "" if value is None else value.decode("latin-1")
