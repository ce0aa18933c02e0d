"""HAProxy stopped, killed, or its agent gone in the middle of a change: the outcome is known in time, and the next agent finishes."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from haproxy_real import driven, make_driver
from held import hold
from steady_members import members


def test_a_worker_that_is_stopped_costs_a_bounded_time() -> None:
    async def scenario() -> None:
        async with driven() as edge:
            old = edge.real.rendered(["a 127.0.0.1:1"])
            new = edge.real.rendered(["a 127.0.0.1:1", "b 127.0.0.1:1"])
            await edge.serve(old)
            [worker] = await edge.worker_pids()
            hold(worker)
            try:
                began = time.monotonic()
                level = await edge.driver.bring_level(old, new)
                proved = await edge.driver.prove(old.version, 0.5)
                assert not level.done
                assert "no answer within 2 s" in level.why
                assert not proved.ok
                assert (await edge.driver.status()).running
                assert time.monotonic() - began < 15
            finally:
                os.kill(worker, signal.SIGCONT)
            assert (await edge.driver.prove(old.version, 5)).ok

    asyncio.run(scenario())


def test_the_next_agent_finishes_what_was_cut_anywhere() -> None:
    async def scenario() -> None:
        with members(1) as serving:
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                old = edge.real.rendered([f"s{n} 127.0.0.1:{port}" for n in range(60)])
                new = edge.real.rendered([f"s{n} 127.0.0.1:{port} weight 7" for n in range(30, 90)])
                await edge.serve(old)
                workers = await edge.worker_pids()
                cut = 0
                for delay in (0.004, 0.008, 0.012, 0.02, 0.03):
                    changing = asyncio.create_task(edge.driver.bring_level(old, new))
                    await asyncio.sleep(delay)
                    cut += changing.cancel()
                    await asyncio.wait([changing])
                assert cut, "at least one of them was under way"
                following = make_driver(edge.real, edge.tasks)
                level = await following.bring_level(old, new)
                edge.real.write(new)
                if level.done:
                    assert await edge.worker_pids() == workers
                else:
                    # With which options the one before has added servers, nobody knows.
                    assert "get other options" in level.why
                    assert (await following.load()).ok
                assert (await following.prove(new.version, 5)).ok
                assert await following.drift(new) == ""

    asyncio.run(scenario())


def test_what_was_cut_is_taken_back_without_a_reload() -> None:
    async def scenario() -> None:
        with members(1) as serving:
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                old = edge.real.rendered([f"s{n} 127.0.0.1:{port}" for n in range(60)])
                new = edge.real.rendered([f"s{n} 127.0.0.1:{port} weight 7" for n in range(50, 90)])
                await edge.serve(old)
                workers = await edge.worker_pids()
                changing = asyncio.create_task(edge.driver.bring_level(old, new))
                await asyncio.sleep(0.02)
                changing.cancel()
                await asyncio.wait([changing])
                following = make_driver(edge.real, edge.tasks)
                assert (await following.bring_level(old, old)).done
                assert await following.drift(old) == ""
                assert (await following.prove(old.version, 2)).ok
                assert await edge.worker_pids() == workers

    asyncio.run(scenario())


def test_a_worker_that_is_killed_in_the_middle_of_a_change_is_no_success() -> None:
    async def scenario() -> None:
        with members(1) as serving:
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                old = edge.real.rendered([f"s 127.0.0.1:{port}"])
                new = edge.real.rendered([f"s{n} 127.0.0.1:{port}" for n in range(2000)])
                await edge.serve(old)
                [worker] = await edge.worker_pids()
                changing = asyncio.create_task(edge.driver.bring_level(old, new))
                await asyncio.sleep(0.1)
                os.kill(worker, signal.SIGKILL)
                level = await asyncio.wait_for(changing, 10)
                assert not level.done
                assert level.why
                assert edge.real.process is not None
                await asyncio.to_thread(edge.real.process.wait, 10)
                # Whoever starts it next, it reads what is on disk.
                assert (await edge.driver.load()).ok
                assert (await edge.driver.prove(old.version, 5)).ok
                assert await edge.driver.drift(old) == ""

    asyncio.run(scenario())
