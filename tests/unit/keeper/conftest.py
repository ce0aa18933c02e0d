"""What tests of the keeper's parts share: nothing stays behind of what one of them opened, mounted or started."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount file systems of that many bytes, in memory and so with a real ENOSPC; needs root."""
    mounted: list[Path] = []

    def mount(size: int, kind: str = "tmpfs") -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        subprocess.run(
            ["mount", "-t", kind, "-o", f"size={size}", "pillion-test", str(place)], check=True
        )
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def ends() -> Iterator[list[int]]:
    """Pids of processes that are to be killed and reaped when the test is over."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


@pytest.fixture
def signals_restored() -> Iterator[None]:
    """Dispositions, mask and wakeup descriptor as they were before."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = {n: signal.getsignal(n) for n in numbers if n < signal.SIGRTMIN}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
