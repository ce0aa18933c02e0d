"""A real HAProxy is checked, loaded and proved; what it cannot load is told in its own words, and the last good version serves all the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from haproxy_real import Driven, driven, make_driver
from pillion.proxies.haproxy.driver import MAIN_FILE
from steady_load import steady_load
from steady_members import members

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_FRONT = "    bind 127.0.0.1:{port}"


def test_a_load_is_good_when_a_new_worker_serves_the_version() -> None:
    async def scenario() -> None:
        with members(1) as serving:
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                assert not (await edge.driver.status()).running
                one = edge.real.rendered([f"a 127.0.0.1:{port}"])
                two = edge.real.rendered([f"a 127.0.0.1:{port}"], more="    option httplog")
                await edge.serve(one)
                first = await edge.driver.status()
                with contextlib.ExitStack() as stack:
                    load = await asyncio.to_thread(stack.enter_context, steady_load(edge.real.port))
                    for version in (two, one, two):
                        workers = await edge.worker_pids()
                        await edge.serve(version)
                        assert not workers & await edge.worker_pids()
                    seen = await asyncio.to_thread(load.stop)
                second = await edge.driver.status()
                assert seen.failed == {}
                assert (first.version, second.version) == (one.version, two.version)
                assert second.running
                assert second.pid == first.pid
                assert second.workers == 1
                not_served = await edge.driver.prove(one.version, 0.2)
                assert not not_served.ok
                assert f"it serves {two.version}, not {one.version}" in not_served.reason

    asyncio.run(scenario())


def test_a_check_names_file_line_and_haproxys_words() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            candidate = edge.real.path("candidate")
            os.mkdir(candidate)
            bogus = edge.real.rendered(["a 127.0.0.1:1"], more="    bogus 7")
            edge.real.write(bogus, candidate)
            verdict = await edge.driver.check(candidate)
            assert not verdict.ok
            assert not verdict.passing
            [place] = verdict.places
            assert place.file == "haproxy.cfg"
            assert bogus.files[0].text.splitlines()[place.line - 1].strip() == "bogus 7"
            assert "unknown keyword 'bogus'" in place.message
            assert verdict.reason == f"haproxy.cfg line {place.line}: {place.message}"
            edge.real.write(edge.real.rendered(["a nowhere.invalid:1"]), candidate)
            verdict = await edge.driver.check(candidate)
            assert verdict.passing
            assert "could not resolve address 'nowhere.invalid'" in verdict.reason
            edge.real.write(edge.real.rendered(["a 127.0.0.1:1"]), candidate)
            assert (await edge.driver.check(candidate)).ok

    asyncio.run(scenario())


def test_what_matters_is_found_among_many_warnings() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            candidate = edge.real.path("candidate")
            os.mkdir(candidate)
            text = "".join(f"frontend f{n}\n    mode http\n" for n in range(60))
            with open(os.path.join(candidate, MAIN_FILE), "w") as file:  # noqa: ASYNC230
                file.write(f"{text}backend b\n    server a nowhere.invalid:1\n")
            verdict = await edge.driver.check(candidate)
            assert not verdict.ok
            assert "could not resolve address 'nowhere.invalid'" in verdict.reason

    asyncio.run(scenario())


def test_files_beside_the_main_one_are_those_of_the_candidate() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            candidate = edge.real.path("candidate")
            os.mkdir(candidate)
            for directory in (candidate, edge.real.directory):
                with open(os.path.join(directory, "blocked.lst"), "w") as file:  # noqa: ASYNC230
                    file.write("/x\n")
            deny = "    http-request deny if { path -f %s }"
            good = edge.real.rendered(["a 127.0.0.1:1"], front=deny % "blocked.lst")
            edge.real.write(good, candidate)
            assert (await edge.driver.check(candidate)).ok
            path = os.path.join(edge.real.directory, "blocked.lst")
            edge.real.write(edge.real.rendered(["a 127.0.0.1:1"], front=deny % path), candidate)
            verdict = await edge.driver.check(candidate)
            assert f"it names {path}, where the old one is: write blocked.lst" in verdict.reason
            [place] = verdict.places
            text = edge.real.text(["a 127.0.0.1:1"], front=deny % path)
            assert path in text.splitlines()[place.line - 1]
            edge.real.write(good)
            await edge.serve(good)

    asyncio.run(scenario())


def test_a_missing_program_is_said() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            edge.driver._binary = "/nowhere/haproxy"
            verdict = await edge.driver.check(edge.real.directory)
            assert verdict.reason.startswith("cannot run /nowhere/haproxy")

    asyncio.run(scenario())


def test_a_taken_port_is_found_before_the_load_disturbs_anybody() -> None:
    async def scenario() -> None:
        with members(1) as serving, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                good = edge.real.rendered([f"a 127.0.0.1:{port}"])
                bad = edge.real.rendered([f"a 127.0.0.1:{port}"], front=_FRONT.format(port=taken))
                await edge.serve(good)
                candidate = edge.real.path("candidate")
                os.mkdir(candidate)
                edge.real.write(bad, candidate)
                verdict = await edge.driver.check(candidate)
                assert not verdict.ok
                assert verdict.passing
                assert f"cannot bind 127.0.0.1:{taken}: address already in use" in verdict.reason
                other.close()
                assert (await edge.driver.check(candidate)).ok
                await edge.serve(bad)

    asyncio.run(scenario())


def test_a_port_that_is_taken_at_the_start_is_told_and_tried_again() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            version = edge.real.rendered(["a 127.0.0.1:1"])
            edge.real.write(version)
            with socket.socket() as other:
                other.bind(("127.0.0.1", edge.real.port))
                other.listen()
                verdict = await edge.driver.load()
                assert not verdict.ok
                assert verdict.passing
                assert f"cannot bind 127.0.0.1:{edge.real.port}" in verdict.reason
                assert verdict.places[0].line > 0
                assert edge.real.process is None
            await edge.serve(version)

    asyncio.run(scenario())


@pytest.mark.parametrize("silent", [False, True], ids=["stderr is kept", "nobody keeps stderr"])
def test_a_failed_load_is_told_in_haproxys_words_and_the_old_worker_serves(silent: bool) -> None:
    async def scenario() -> None:
        with members(1) as serving, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            port = next(iter(serving.ports.values()))
            async with driven(silent=silent) as edge:
                good = edge.real.rendered([f"a 127.0.0.1:{port}"])
                bad = edge.real.rendered([f"a 127.0.0.1:{port}"], more="    bogus 7")
                busy = edge.real.rendered([f"a 127.0.0.1:{port}"], front=_FRONT.format(port=taken))
                await edge.serve(good)
                workers = await edge.worker_pids()
                edge.real.write(bad)
                verdict = await edge.driver.load()
                assert not verdict.ok
                assert "unknown keyword 'bogus'" in verdict.reason
                assert verdict.places[0].file == "haproxy.cfg"
                assert await edge.worker_pids() == workers
                # The master waits, with a failed load on its account, and the next one is judged by itself.
                edge.real.write(busy)
                verdict = await edge.driver.load()
                assert not verdict.ok
                words = (
                    f"cannot bind 127.0.0.1:{taken}: address already in use"
                    if silent
                    else "cannot bind socket (Address already in use)"
                )
                assert words in verdict.reason
                assert verdict.passing
                assert await edge.worker_pids() == workers
                assert (await edge.driver.prove(good.version, 2)).ok
                assert not (await edge.driver.prove(busy.version, 0.2)).ok
                await edge.serve(good)
                assert not workers & await edge.worker_pids()

    asyncio.run(scenario())


def test_a_lost_master_socket_is_replaced_by_the_signal() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            one = edge.real.rendered(["a 127.0.0.1:1"])
            two = edge.real.rendered(["a 127.0.0.1:1", "b 127.0.0.1:1"])
            await edge.serve(one)
            os.unlink(edge.real.path("master"))
            edge.real.write(two)
            loading = asyncio.create_task(edge.driver.load())
            proved = await edge.driver.prove(two.version, 5)
            assert edge.real.signals == ["USR2"]
            assert proved.ok
            await loading

    asyncio.run(scenario())


def test_a_worker_that_is_killed_takes_the_master_along_and_the_next_start_reads_the_file() -> None:
    async def scenario() -> None:
        with members(2) as serving:
            first, second = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                old = edge.real.rendered([f"a {first}"])
                new = edge.real.rendered([f"a {first}", f"b {second}"])
                await edge.serve(old)
                assert (await edge.driver.bring_level(old, new)).done
                edge.real.write(new)
                [worker] = await edge.worker_pids()
                os.kill(worker, 9)
                assert edge.real.process is not None
                await asyncio.to_thread(edge.real.process.wait, 10)
                assert not (await edge.driver.status()).running
                loaded = await edge.driver.load()
                assert loaded.ok
                assert (await edge.driver.prove(new.version, 5)).ok
                assert await edge.driver.drift(new) == ""

    asyncio.run(scenario())


@pytest.mark.parametrize("said", [b"", b"no such thing\n> ", b"\x00\xff" * 1000, b"> " * 10])
def test_a_silent_or_strange_admin_socket_costs_a_reload_and_no_more(said: bytes) -> None:
    async def scenario() -> None:
        async with driven() as edge:
            one = edge.real.rendered(["a 127.0.0.1:1"])
            two = edge.real.rendered(["a 127.0.0.1:1", "b 127.0.0.1:1"])
            await edge.serve(one)
            async with _impersonate(edge, "strange", said, 0.3):
                level = await asyncio.wait_for(edge.driver.bring_level(one, two), 10)
                assert not level.done
                assert level.why
                assert await edge.driver.drift(one) == "", "what cannot be said is no drift"
                assert (await edge.driver.prove(one.version, 5)).ok
                await edge.serve(two)

    asyncio.run(scenario())


@contextlib.asynccontextmanager
async def _impersonate(edge: Driven, name: str, said: bytes, bound_s: float) -> AsyncIterator[None]:
    """Put somebody else behind the admin socket of the driver."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1024):
                writer.write(said)
                await writer.drain()
        writer.close()

    path = edge.real.path(name)
    assert edge.driver.runtime is not None
    edge.driver.runtime._socket.address = path
    edge.driver.runtime._socket._timeout_s = bound_s
    async with await asyncio.start_unix_server(talk, path):
        yield


def test_an_endless_answer_is_cut() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            one = edge.real.rendered(["a 127.0.0.1:1"])
            await edge.serve(one)
            async with _impersonate(edge, "endless", b"x" * (9 << 20), 10):
                level = await edge.driver.bring_level(one, one)
                assert not level.done
                assert "more than 8388608 bytes" in level.why

    asyncio.run(scenario())


_STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_time_since_last_change srv_check_state srv_port
4 shop 1 a 127.0.0.1 2 0 1 4 0 1

> """


def test_an_answer_is_not_believed_when_the_servers_say_otherwise() -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"add "):
                writer.write(b"New server registered.\n\n> ")
            else:
                writer.write(_STATE.encode() if line.startswith(b"show ") else b"\n> ")
        writer.close()

    async def scenario() -> None:
        async with driven() as edge:
            one = edge.real.rendered(["a 127.0.0.1:1"])
            two = edge.real.rendered(["a 127.0.0.1:1", "b 127.0.0.1:1"])
            async with await asyncio.start_unix_server(lie, edge.real.path("admin")):
                assert (await edge.driver.bring_level(one, one)).done
                level = await edge.driver.bring_level(one, two)
            assert not level.done
            assert level.why == "HAProxy did not do it: shop/b added"

    asyncio.run(scenario())


def test_without_sockets_a_reload_is_told_by_signal_and_proved() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            one = edge.real.rendered(["a 127.0.0.1:1"])
            two = edge.real.rendered(["b 127.0.0.1:1"])
            await edge.serve(one)
            bare = make_driver(edge.real, edge.tasks)
            bare._master = None
            bare.runtime = None
            bare._proof_path = ""
            assert not (await bare.bring_level(one, two)).done
            edge.real.write(two)
            assert (await bare.load()).ok
            assert edge.real.signals == ["USR2"]
            assert (await bare.prove(two.version, 5)).ok
            status = await bare.status()
            assert (status.running, status.version) == (True, None)
            assert (await edge.driver.prove(two.version, 5)).ok

    asyncio.run(scenario())
