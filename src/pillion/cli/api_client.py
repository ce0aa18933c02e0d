"""The agent's API for commands: one request, one answer, errors as Pillion's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.errors import RefusedError, UnreachableError
from pillion.http.blocking import BlockingClient, BlockingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pillion.http.codec import Headers

# For the agent to begin an answer that then goes on for as long as it likes.
_FIRST_BYTE_S = 10.0


class Answer(NamedTuple):
    """What the agent said: status, header fields, body."""

    status: int
    headers: Headers
    body: bytes


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    problems: list[str] = []


# An agent that has not answered by then is away, hung or being replaced.
AGENT_PATIENCE_S = 1.0


def answers(socket_path: str) -> bool:
    """Whether the agent behind `socket_path` answers within its second."""
    try:
        request(socket_path, "GET", "/livez", None, timeout_s=AGENT_PATIENCE_S)
    except UnreachableError:
        return False
    return True


def request(
    socket_path: str,
    method: str,
    path: str,
    body: bytes | None,
    *,
    timeout_s: float,
    also: frozenset[int] = frozenset(),
) -> bytes:
    """The body of a successful answer from the agent behind `socket_path`, or of one with a status of `also`.

    `timeout_s` bounds each wait for the agent, in seconds. Raises `RefusedError` for a problem (its detail
    lists what the problem lists), `UnreachableError` when nobody answers in time.
    """
    return exchange(socket_path, method, path, body, timeout_s=timeout_s, also=also).body


def exchange(
    socket_path: str,
    method: str,
    path: str,
    body: bytes | None,
    *,
    timeout_s: float,
    fields: Sequence[tuple[bytes, bytes]] = (),
    also: frozenset[int] = frozenset(),
) -> Answer:
    """Like `request`, with header fields in both directions."""
    with BlockingClient.unix(socket_path, timeout_s) as client:
        try:
            with client.request(method, path, [*_fields(body), *fields], body) as answer:
                data = answer.read()
        except BlockingError as error:
            raise UnreachableError(f"{error}; `pillion status` lists what runs") from error
    if answer.status >= 400 and answer.status not in also:
        raise _refused(answer.status, data)
    return Answer(answer.status, answer.headers, data)


def lines(
    socket_path: str,
    path: str,
    *,
    follow: bool,
    accept: bytes = b"application/x-ndjson",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> Iterator[bytes]:
    """The lines of an answer of the kind `accept` as they come, without their line feeds; `more` are fields of the request.

    Ends when the agent ends the answer, which it does when it is replaced. Raises as `request` does.
    """
    # A stream that follows may be silent for ever: only its head is waited for with a bound.
    fields = [(b"accept", accept), *more]
    with BlockingClient.unix(socket_path, None if follow else _FIRST_BYTE_S) as client:
        try:
            with client.request("GET", path, fields) as answer:
                if answer.status >= 400:
                    raise _refused(answer.status, answer.read())
                rest = b""
                for piece in answer:
                    *whole, rest = (rest + piece).split(b"\n")
                    yield from whole
        except BlockingError as error:
            raise UnreachableError(f"{error}; `pillion status` lists what runs") from error


def _fields(body: bytes | None) -> list[tuple[bytes, bytes]]:
    return [] if body is None else [(b"content-type", b"application/json")]


def _refused(status: int, data: bytes) -> RefusedError:
    try:
        problem = msgspec.json.decode(data, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(title=f"status {status}")
    detail = "\n".join([problem.detail or problem.title, *problem.problems])
    return RefusedError(status, problem.title, detail)
