"""gRPC through a real haproxy with the shipped template: each call is balanced, and has the policy of its method."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from free_ports import free_port
from proxies_rendering import member
from proxies_serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.proxies.templating.references import Member

END_S = 8.0


@contextlib.contextmanager
def orders(name: str, hang: threading.Event) -> Iterator[Member]:
    """A gRPC server whose /shop.Orders/Name tells its name, and whose /shop.Orders/Hang waits."""

    def tell(request: bytes, context: grpc.ServicerContext) -> bytes:
        return name.encode() + request

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        hang.wait(END_S)
        return b""

    def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for at in range(3):
            yield str(at).encode()

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "shop.Orders",
                {
                    "Name": grpc.unary_unary_rpc_method_handler(tell),
                    "Hang": grpc.unary_unary_rpc_method_handler(wait),
                    "Count": grpc.unary_stream_rpc_method_handler(count),
                },
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield member(name, port)
    finally:
        hang.set()
        server.stop(None).wait(END_S)


def call(port: int, method: str, **options: object) -> list[str]:
    """Calls on one channel: names that answered, or the code's name."""
    found = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel.unary_unary(f"/shop.Orders/{method}")
        for _ in range(int(str(options.get("times", 1)))):
            try:
                found.append(stub(b"", timeout=END_S).decode())
            except grpc.RpcError as error:
                found.append(error.code().name)
    return found


def test_calls_of_one_connection_are_shared_by_the_members() -> None:
    hang = threading.Event()
    with (
        orders("a", hang) as a,
        orders("b", hang) as b,
        serving("haproxy", "grpc", {"service": "orders"}, {"orders": (a, b)}) as proxy,
    ):
        assert set(Counter(call(proxy.port, "Name", times=20))) == {"a", "b"}
        with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
            stream = channel.unary_stream("/shop.Orders/Count")(b"", timeout=END_S)
            assert list(stream) == [b"0", b"1", b"2"]


def test_without_members_a_call_is_unavailable() -> None:
    with serving("haproxy", "grpc", {"service": "orders"}) as proxy:
        assert call(proxy.port, "Name") == ["UNAVAILABLE"]


def test_each_method_has_its_own_policy() -> None:
    hang = threading.Event()
    methods = [
        {"path": "/shop.Orders/", "rate": 100},
        {"path": "/shop.Orders/Hang", "timeout": "300ms"},
        {"path": "/shop.Orders/Name", "rate": 3},
    ]
    with orders("a", hang) as a:
        values = {"service": "orders", "methods": methods}
        with serving("haproxy", "grpc", values, {"orders": (a,)}) as proxy:
            assert call(proxy.port, "Hang")[0] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
            many = Counter(call(proxy.port, "Name", times=12))
            assert many["RESOURCE_EXHAUSTED"] >= 4, many
            assert many["a"] >= 3, many


@pytest.mark.parametrize("retry", [True, False])
def test_a_member_that_is_gone_costs_no_call(retry: bool) -> None:
    hang = threading.Event()
    values = {
        "service": "orders",
        "methods": [{"path": "/shop.Orders/Name", "retry": retry}],
    }
    with orders("a", hang) as a:
        members = (a, member("z", free_port()))
        with serving("haproxy", "grpc", values, {"orders": members}) as proxy:
            assert call(proxy.port, "Name", times=10) == ["a"] * 10
