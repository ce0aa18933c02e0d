"""The report on a hung process: every thread, bounded, and nothing that could be a secret."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from pillion.keeper import hang_report

if TYPE_CHECKING:
    from pathlib import Path

BOUND_S = 40.0


def test_every_thread_is_reported_by_name_and_state() -> None:
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    try:
        text, data = hang_report.compose("silent", "app", [os.getpid()])
    finally:
        gate.set()
        for thread in threads:
            thread.join()
    assert "app: silent" in text
    for thread in threads:
        assert f"thread {thread.native_id} (" in text
    assert data["threads"] == len(os.listdir("/proc/self/task")) or int(str(data["threads"])) >= 6
    assert len(str(data)) < hang_report.MAX_SUMMARY_BYTES


def test_arguments_and_environment_are_left_out() -> None:
    with subprocess.Popen(["sleep", "600.1234"], env={"SECRET": "planted-5678"}) as child:
        try:
            text, data = hang_report.compose("silent", "app", [child.pid])
        finally:
            child.kill()
    assert "(sleep)" in text
    assert "1234" not in text.replace(str(child.pid), "")
    assert "5678" not in f"{text}{data}"


def test_who_is_gone_is_reported_as_gone() -> None:
    text, data = hang_report.compose("silent", "app", [2**22 + 1])
    assert "(gone), 0 threads" in text
    assert data["threads"] == 0


def test_the_report_is_taken_by_a_child_that_holds_nothing_of_ours(tmp_path: Path) -> None:
    kept, ours = os.pipe()
    pid, report = hang_report.start("silent", "app", [os.getpid()], str(tmp_path), "one.txt")
    os.close(ours)
    assert select.select([kept], [], [], BOUND_S)[0], "the child holds our descriptors"
    assert select.select([report], [], [], BOUND_S)[0]
    data = hang_report.understand(os.read(report, 4096))
    assert os.waitpid(pid, 0)[1] == 0
    os.close(report)
    os.close(kept)
    path = str(data["report"])
    assert path == f"{tmp_path}/hangs/one.txt"
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path) as file:
        assert f"process {os.getpid()} (" in file.read()


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "hangs").write_text("in the way")
    pid, report = hang_report.start("silent", "app", [os.getpid()], str(tmp_path), "one.txt")
    assert select.select([report], [], [], BOUND_S)[0]
    data = hang_report.understand(os.read(report, 4096))
    os.waitpid(pid, 0)
    os.close(report)
    assert "cannot write" in str(data["report_failed"])
    assert data["threads"]


def test_old_reports_make_room(tmp_path: Path) -> None:
    for number in range(30):
        hang_report.keep(str(tmp_path), f"{number:04}.txt", "x" * (1 << 20))
    names = sorted(os.listdir(tmp_path))
    assert names == [f"{n:04}.txt" for n in range(20, 30)]
    assert (tmp_path / names[0]).stat().st_size == 256 * 1024


def test_what_the_child_cannot_have_said_is_nothing() -> None:
    assert hang_report.understand(b"") == hang_report.understand(b"[1]") == {}
    assert hang_report.understand(b'{"torn') == {}


def test_only_a_machine_that_handles_it_is_sent_a_quit() -> None:
    """A thread's name alone could be anybody's: SIGQUIT would kill whoever does not handle it."""
    code = (
        "import ctypes,signal,sys,threading\n"
        "if len(sys.argv) > 1: signal.signal(signal.SIGQUIT, lambda *_: None)\n"
        "def named():\n"
        "    ctypes.CDLL(None).prctl(15, b'Signal Dispatcher', 0, 0, 0)\n"
        "    print(flush=True)\n"
        "    sys.stdin.read()\n"
        "threading.Thread(target=named).start()\n"
    )
    for words, wanted in (((), False), (("handle",), True)):
        with subprocess.Popen(
            [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threads = hang_report.threads_of(child.pid, 10)
            assert hang_report.answers_quit(child.pid, threads) is wanted
            child.send_signal(signal.SIGKILL)
