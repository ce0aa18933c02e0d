"""gRPC through the ambassador as TCP: calls of every kind with the standard library, which needs no word of it."""

from __future__ import annotations

import contextlib
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from ambassador_instance import Ambassador
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 16 << 20
_OPTIONS = [
    ("grpc.max_receive_message_length", _MOST),
    ("grpc.max_send_message_length", _MOST),
    ("grpc.enable_http_proxy", 0),
]


def _unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
    return request[::-1]


def _both_ways(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        yield request.upper()


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(8), options=_OPTIONS)
    handlers = {
        "Reverse": grpc.unary_unary_rpc_method_handler(_unary),
        "Shout": grpc.stream_stream_rpc_method_handler(_both_ways),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@pytest.fixture(scope="module")
def ambassador() -> Iterator[Ambassador]:
    """An upstream of gRPC."""
    with _serving() as port:
        text = f'urls = ["tcp://127.0.0.1:{port}"]\nprotocol = "grpc"'
        with Ambassador({"echo": text}) as running:
            yield running


@pytest.fixture
def channel(ambassador: Ambassador) -> Iterator[Any]:
    """A client's channel to the upstream's local port."""
    with grpc.insecure_channel(f"127.0.0.1:{ambassador.ports['echo']}", options=_OPTIONS) as made:
        yield made


def test_calls_are_answered(channel: Any) -> None:
    reverse = channel.unary_unary("/shop.Echo/Reverse")
    for size in (0, 1, 1000, 1 << 20, 8 << 20):
        message = b"ab" + bytes(size)
        assert reverse(message, timeout=20) == message[::-1]


def test_many_calls_share_a_connection(channel: Any) -> None:
    reverse = channel.unary_unary("/shop.Echo/Reverse")
    calls = [reverse.future(f"{n:04d}".encode(), timeout=20) for n in range(200)]
    assert [call.result() for call in calls] == [f"{n:04d}"[::-1].encode() for n in range(200)]


def test_an_error_arrives_as_one(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/shop.Echo/Reverse")(b"fail", timeout=20)
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "not now"


def test_streams_both_ways(channel: Any) -> None:
    shouted = channel.stream_stream("/shop.Echo/Shout")(
        iter([f"word {n}".encode() for n in range(100)]), timeout=20
    )
    assert list(shouted) == [f"WORD {n}".encode() for n in range(100)]


def test_each_connection_is_one_record(ambassador: Ambassador) -> None:
    with grpc.insecure_channel(
        f"127.0.0.1:{ambassador.ports['echo']}",
        options=[*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)],
    ) as own:
        before = len(ambassador.records(upstream="echo"))
        assert own.unary_unary("/shop.Echo/Reverse")(b"ab", timeout=20) == b"ba"
    wait_for("it is written down", lambda: len(ambassador.records(upstream="echo")) > before)
    record = ambassador.records(upstream="echo")[-1]
    assert record["version"] == "tcp"
    assert min(record["bytes_in"], record["bytes_out"]) > 0
