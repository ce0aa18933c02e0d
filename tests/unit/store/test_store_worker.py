"""The thread does things in order and together; nobody waits for longer than the bound, and what waits is bounded."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pillion.store import worker as worker_module
from pillion.store.interface import StoreUnavailableError
from pillion.store.worker import Job, Worker


class Number(Job):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Bench:
    """A worker whose work is to return the number, once the gate is open."""

    def __init__(self, bound_s: float = 40.0) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.batches: list[list[int]] = []
        self.idled = 0
        self.ended = threading.Event()
        self.late = 0
        self.worker: Worker[Number] = Worker(
            "test",
            self.carry_out,
            idle=self.idle,
            ended=self.ended.set,
            carried_out=lambda: None,
            delivered=lambda: None,
            too_late=self.too_late,
            bound_s=bound_s,
        )
        self.worker.start()

    def carry_out(self, jobs: list[Number]) -> None:
        self.began.set()
        self.gate.wait()
        self.batches.append([job.number for job in jobs])
        for job in jobs:
            if job.number < 0:
                job.error = ValueError(str(job.number))
            job.result = job.number

    def idle(self) -> bool:
        self.idled += 1
        return self.idled % 3 != 0

    def too_late(self) -> None:
        self.late += 1


def test_results_and_errors_reach_who_asked() -> None:
    async def main() -> None:
        bench = Bench()
        assert await bench.worker.do(Number(7)) == 7
        with pytest.raises(ValueError, match="-1"):
            await bench.worker.do(Number(-1))
        assert await bench.worker.close(5)
        assert bench.ended.is_set()
        assert bench.idled > 0

    asyncio.run(main())


def test_what_waits_is_done_together_in_order() -> None:
    async def main() -> None:
        bench = Bench()
        bench.gate.clear()
        first = asyncio.create_task(bench.worker.do(Number(0)))
        await asyncio.to_thread(bench.began.wait, 5)
        rest = [asyncio.create_task(bench.worker.do(Number(n))) for n in range(1, 201)]
        await asyncio.sleep(0)
        bench.gate.set()
        assert await asyncio.gather(first, *rest) == list(range(201))
        assert [number for batch in bench.batches for number in batch] == list(range(201))
        assert max(len(batch) for batch in bench.batches) == 64
        assert bench.worker.waiting == 0
        await bench.worker.close(5)

    asyncio.run(main())


def test_a_thread_that_is_held_up_holds_nobody_longer_than_the_bound() -> None:
    async def main() -> None:
        bench = Bench(bound_s=0.05)
        bench.gate.clear()
        with pytest.raises(StoreUnavailableError, match=r"^cannot .*not answered"):
            await bench.worker.do(Number(1))
        assert (bench.late, bench.worker.late) == (1, 1)
        # What nobody waits for any more is not begun.
        with pytest.raises(StoreUnavailableError):
            await bench.worker.do(Number(2))
        assert not await bench.worker.close(0.01)
        bench.gate.set()
        assert await bench.worker.close(5)
        assert bench.batches == [[1]]

    asyncio.run(main())


def test_too_many_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MOST_WAITING", 3)

    async def main() -> None:
        bench = Bench()
        bench.gate.clear()
        tasks = [asyncio.create_task(bench.worker.do(Number(n))) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match=r"^cannot .*3 requests wait"):
            await bench.worker.do(Number(4))
        assert bench.worker.refused == 1
        bench.gate.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        await bench.worker.close(5)
        with pytest.raises(StoreUnavailableError, match=r"^cannot .*closed"):
            await bench.worker.do(Number(5))

    asyncio.run(main())


def test_who_is_cancelled_leaves_the_others_alone() -> None:
    async def main() -> None:
        bench = Bench()
        bench.gate.clear()
        leaves = asyncio.create_task(bench.worker.do(Number(1)))
        stays = asyncio.create_task(bench.worker.do(Number(2)))
        await asyncio.to_thread(bench.began.wait, 5)
        leaves.cancel()
        await asyncio.wait([leaves])
        bench.gate.set()
        assert await stays == 2
        await bench.worker.close(5)

    asyncio.run(main())
