"""The wire from the child's side, over a real SEQPACKET pair: no keeper, but its messages."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pillion.base.control import OUTBOX_MESSAGES, Control
from pillion.base.control_handlers import Handlers
from pillion.errors import RefusedError, UnreachableError
from pillion.model.component import ComponentList, Status
from pillion.model.place import Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Peer:
    """The keeper's end, read and written without blocking the loop."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.setblocking(False)

    async def read(self) -> dict[str, Any]:
        data = await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(self.sock, 1 << 17), timeout=5
        )
        message: dict[str, Any] = json.loads(data)
        return message

    async def read_op(self, op: str) -> dict[str, Any]:
        while (message := await self.read())["op"] != op:
            pass
        return message

    def send(self, **message: object) -> None:
        self.sock.send(json.dumps(message).encode())


def run(
    scenario: Callable[[Peer, Control, Handlers], Awaitable[None]], heartbeat_s: float = 60.0
) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        place = Place(
            v=1,
            role="agent",
            instance="shop",
            run="r",
            runtime_dir="/r",
            state_dir="/s",
            heartbeat_s=heartbeat_s,
        )
        handlers = Handlers()
        control = Control(place, handlers, stats=lambda: {"things": 3}, sock=theirs)
        try:
            await scenario(Peer(ours), control, handlers)
        finally:
            control.close()
            ours.close()

    asyncio.run(main())


def test_hello_then_heartbeats_with_stats_and_lag() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        hello = await peer.read()
        assert (hello["op"], hello["v"], hello["role"]) == ("hello", 1, "agent")
        first, second = await peer.read(), await peer.read()
        assert first["op"] == second["op"] == "heartbeat"
        assert second["stats"]["things"] == 3
        assert second["stats"]["loop_lag_seconds"] >= 0

    run(scenario, heartbeat_s=0.01)


def test_an_idle_process_does_not_repeat_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillion.base.control.SELDOM_S", 0.0)
    monkeypatch.setattr("pillion.base.control.IDLE_CPU_S", 60.0)
    monkeypatch.setattr("pillion.base.control.STATS_EVERY_S", 0.1)

    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        beats = [await peer.read_op("heartbeat") for _ in range(30)]
        told = ["stats" in beat for beat in beats]
        assert told[0]
        assert 1 < told.count(True) < 15

    run(scenario, heartbeat_s=0.01)


def test_a_call_returns_its_typed_result() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        pending = asyncio.ensure_future(control.call("components", {}, ComponentList))
        call = await peer.read_op("call")
        assert (call["method"], call["params"]) == ("components", {})
        items = [{"name": "app", "state": "running", "a-later-field": 1}]
        peer.send(op="reply", id=call["id"], result={"items": items})
        answer = await pending
        assert answer.items[0].name == "app"

    run(scenario)


def test_a_refused_call_carries_the_keepers_words() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        pending = asyncio.ensure_future(control.call("start", {"name": "x"}, ComponentList))
        call = await peer.read_op("call")
        error = {"status": 404, "title": "no such component", "detail": "try `pillion components`"}
        peer.send(op="reply", id=call["id"], error=error)
        with pytest.raises(RefusedError) as refused:
            await pending
        assert (refused.value.status, refused.value.title) == (404, "no such component")
        assert refused.value.detail == "try `pillion components`"

    run(scenario)


def test_a_silent_keeper_is_unreachable_and_its_late_answer_ignored() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        with pytest.raises(UnreachableError, match=r"did not answer within 0.01 s"):
            await control.call("status", {}, Status, timeout_s=0.01)
        call = await peer.read_op("call")
        peer.send(op="reply", id=call["id"], result={})
        pending = asyncio.ensure_future(control.call("components", {}, ComponentList))
        call = await peer.read_op("call")
        peer.send(op="reply", id=call["id"], result={"items": []})
        assert (await pending).items == []

    run(scenario)


def test_every_message_of_the_keeper_reaches_its_handler() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        seen: list[object] = []
        done = asyncio.Event()
        handlers.promote = lambda: seen.append("promote")
        handlers.reload = lambda: seen.append("reload")
        handlers.state = lambda state: seen.append(state.instance)

        def stop(grace_s: float) -> None:
            seen.append(grace_s)
            done.set()

        handlers.stop = stop
        control.start()
        peer.send(op="promote")
        peer.send(op="reload")
        state = {"instance": "shop", "run": "r", "keeper": {"pid": 1}, "components": []}
        peer.send(op="state", state=state)
        peer.send(op="from-the-future", x=1)
        peer.sock.send(b"no json")
        peer.send(op="stop", grace_s=2.5)
        await asyncio.wait_for(done.wait(), 5)
        assert seen == ["promote", "reload", "shop", 2.5]
        assert (control.counters.unknown, control.counters.malformed) == (1, 1)

    run(scenario)


def test_retire_hands_over_the_successors_socket_closed_on_exec() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        got: asyncio.Future[tuple[float, socket.socket | None]] = asyncio.Future()
        handlers.retire = lambda drain_s, successor: got.set_result((drain_s, successor))
        control.start()
        mine, other = socket.socketpair()
        descriptors = array.array("i", [other.fileno()])
        message = json.dumps({"op": "retire", "drain_s": 3.0}).encode()
        peer.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        other.close()
        drain_s, successor = await asyncio.wait_for(got, 5)
        assert drain_s == 3.0
        assert successor is not None
        assert not os.get_inheritable(successor.fileno())
        successor.send(b"idle connection")
        assert mine.recv(100) == b"idle connection"
        mine.close()
        successor.close()

    run(scenario)


def test_listeners_come_by_name_and_are_the_handlers_own() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        got: asyncio.Queue[tuple[dict[str, socket.socket], list[str]]] = asyncio.Queue()
        handlers.listeners = lambda added, gone: got.put_nowait((added, gone))
        control.start()
        made = {f"upstream:{n}": socket.create_server(("127.0.0.1", 0)) for n in range(64)}
        descriptors = array.array("i", [sock.fileno() for sock in made.values()])
        message = json.dumps({"op": "listeners", "added": list(made), "gone": ["proxy"]}).encode()
        peer.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        added, gone = await asyncio.wait_for(got.get(), 5)
        names = {name: sock.getsockname() for name, sock in made.items()}
        assert {name: sock.getsockname() for name, sock in added.items()} == names
        assert gone == ["proxy"]
        assert not any(os.get_inheritable(sock.fileno()) for sock in added.values())
        peer.send(op="listeners", gone=["inbound"])
        assert await asyncio.wait_for(got.get(), 5) == ({}, ["inbound"])
        for sock in (*made.values(), *added.values()):
            sock.close()

    run(scenario)


def test_listeners_without_their_descriptors_are_counted_and_closed() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        told: list[dict[str, socket.socket]] = []
        stopped: asyncio.Future[float] = asyncio.Future()
        handlers.listeners = lambda added, _gone: told.append(added)
        handlers.stop = stopped.set_result
        control.start()
        with socket.create_server(("127.0.0.1", 0)) as one:
            message = json.dumps({"op": "listeners", "added": ["proxy", "inbound"]}).encode()
            descriptors = array.array("i", [one.fileno()])
            peer.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            before = len(os.listdir("/proc/self/fd"))
            peer.send(op="stop", grace_s=1.0)
            await asyncio.wait_for(stopped, 5)
            assert (told, control.counters.malformed) == ([], 1)
            assert len(os.listdir("/proc/self/fd")) == before

    run(scenario)


def test_a_closed_keeper_is_told_once_and_ends_the_calls() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        losses: list[int] = []
        handlers.lost = lambda: losses.append(1)
        control.start()
        pending = asyncio.ensure_future(control.call("status", {}, Status))
        await peer.read_op("call")
        peer.sock.close()
        with pytest.raises(UnreachableError, match="the keeper is gone"):
            await pending
        assert losses == [1]
        assert control.closed
        with pytest.raises(UnreachableError, match="the keeper does not listen"):
            await control.call("status", {}, Status)

    run(scenario)


def test_a_keeper_that_does_not_read_costs_bounded_memory_and_counted_events() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        text = "x" * 20_000
        count = OUTBOX_MESSAGES + 100
        for number in range(count):
            control.event("hung", text, data={"n": number})
        lost = control.counters.dropped
        assert 0 < lost <= 100
        assert not await control.flush(0.01)
        numbers = []
        while len(numbers) < count - lost:
            message = await peer.read()
            if message["op"] == "event":
                numbers.append(message["data"]["n"])
        assert numbers == list(range(count - lost))
        assert await control.flush(5)

    run(scenario)


def test_what_no_datagram_can_hold_is_refused_or_counted() -> None:
    async def scenario(peer: Peer, control: Control, handlers: Handlers) -> None:
        control.start()
        with pytest.raises(RefusedError) as refused:
            await control.call("limits", {"name": "x" * 200_000}, Status)
        assert refused.value.status == 413
        control.event("hung", "x" * 200_000)
        assert control.counters.dropped == 2

    run(scenario)
