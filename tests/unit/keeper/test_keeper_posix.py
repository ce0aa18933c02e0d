"""Ends that must not be silent: a process, or a thread of the scribe, that fails says so and is gone as a whole."""

from __future__ import annotations

import os
import subprocess
import sys

DEAF = """
import os, threading, time
from pillion.keeper import scribe
def body():
    raise RuntimeError("no disk will have it")
threading.Thread(target=scribe._own, args=(body,)).start()
time.sleep(60)
"""


def test_a_thread_that_fails_takes_the_process_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAF], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "pillion: the scribe failed: RuntimeError: no disk will have it\n"


def test_a_terminal_that_takes_nothing_holds_nobody() -> None:
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        while True:
            try:
                os.write(write, b"x" * 65536)
            except BlockingIOError:
                break
        os.set_blocking(write, True)
        done = subprocess.run([sys.executable, "-c", DEAF], stderr=write, timeout=30, check=False)
    finally:
        os.close(read)
        os.close(write)
    assert done.returncode == 1


def test_a_terminal_that_is_gone_holds_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-c", DEAF], stderr=write, timeout=30, check=False)
    finally:
        os.close(write)
    assert done.returncode == 1
