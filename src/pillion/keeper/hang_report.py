"""What a hung process was doing, from /proc: taken by a child of ours, since reading a stuck process and writing a file may both wait.

proc(5): task/TID/{comm,stat,wchan,syscall,stack}. No command line and no environment, which may hold secrets. Everything is
bounded: processes, threads, bytes, and the reports that are kept.
"""

from __future__ import annotations

import os

from . import launch, posix
from .journal import timestamp
from .lean import json, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .wire import Json

_MAX_PROCESSES = 32
_MAX_THREADS = 256
_MAX_STACK_BYTES = 2048
_MAX_REPORT_BYTES = 256 * 1024
_MAX_SUMMARY_THREADS = 8
_KEPT_REPORTS = 10
# A write of at most PIPE_BUF is never partial, and the event that carries the summary has to stay below it too.
MAX_SUMMARY_BYTES = 2048
DIRECTORY = "hangs"

# The thread of a Java virtual machine that answers SIGQUIT with a thread dump (-Xrs starts none, and there SIGQUIT would kill).
_JVM_SIGNAL_THREAD = "Signal Dispatch"


class Thread:
    """One thread as /proc shows it; what may not be read is empty."""

    __slots__ = ("cpu_ticks", "name", "stack", "state", "syscall", "tid", "wchan")

    def __init__(self, tid: int, directory: str) -> None:
        self.tid = tid
        stat = _read(f"{directory}/stat")
        name, _, rest = stat.partition("(")[2].rpartition(")")
        fields = rest.split()
        self.name = name
        self.state = fields[0] if fields else "?"
        self.cpu_ticks = int(fields[11]) + int(fields[12]) if len(fields) > 12 else 0
        self.wchan = _read(f"{directory}/wchan")
        self.syscall = _read(f"{directory}/syscall")
        self.stack = _read(f"{directory}/stack", _MAX_STACK_BYTES)

    def lines(self) -> list[str]:
        """Return it in words, the kernel's stack below."""
        waits = f", waits in {self.wchan}" if self.wchan not in ("", "0") else ""
        call = f", system call {self.syscall}" if self.syscall else ""
        first = f"  thread {self.tid} ({self.name}): state {self.state}, {self.cpu_ticks} ticks of CPU{waits}{call}"
        return [first, *(f"    {line}" for line in self.stack.splitlines())]


def _read(path: str, most: int = 1024) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(most).decode(errors="replace").strip()
    except OSError:
        return ""  # gone, or not ours to see


def threads_of(pid: int, most: int) -> list[Thread]:
    """Return the threads of a process, at most so many; none when it is gone."""
    try:
        tids = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []
    return [Thread(tid, f"/proc/{pid}/task/{tid}") for tid in tids[:most]]


def answers_quit(pid: int, threads: list[Thread]) -> bool:
    """Whether SIGQUIT makes the process print a thread dump: a Java virtual machine that handles it."""
    if not any(t.name.startswith(_JVM_SIGNAL_THREAD) for t in threads):
        return False
    for line in _read(f"/proc/{pid}/status", 8192).splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (int(signal.SIGQUIT) - 1) & 1)
    return False


def compose(reason: str, component: str, pids: list[int]) -> tuple[str, dict[str, Json]]:
    """Return the report as text, and its summary for the journal."""
    lines = [
        f"{timestamp()} {component}: {reason}",
        f"{len(pids)} processes; ticks are 1/{os.sysconf('SC_CLK_TCK')} s",
        "",
    ]
    summary: list[Json] = []
    machines: list[Json] = []
    room = _MAX_THREADS
    for pid in pids[:_MAX_PROCESSES]:
        threads = threads_of(pid, room)
        room -= len(threads)
        if answers_quit(pid, threads):
            machines.append(pid)
        lines.append(
            f"process {pid} ({threads[0].name if threads else 'gone'}), {len(threads)} threads"
        )
        for thread in threads:
            lines += thread.lines()
            if len(summary) < _MAX_SUMMARY_THREADS:
                summary.append(
                    {
                        "pid": pid,
                        "tid": thread.tid,
                        "name": thread.name[:16],
                        "state": thread.state,
                        "waits_in": thread.wchan[:32],
                    }
                )
        lines.append("")
    data: dict[str, Json] = {
        "processes": len(pids),
        "threads": _MAX_THREADS - room,
        "first": summary,
        "jvms": machines[:8],
    }
    return "\n".join(lines), data


def keep(directory: str, name: str, text: str) -> str:
    """Write a report and remove the oldest beyond those that are kept. Return its path. Raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = f"{directory}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode(errors="replace")[:_MAX_REPORT_BYTES])
    finally:
        os.close(fd)
    # Names begin with the time.
    for old in sorted(os.listdir(directory))[:-_KEPT_REPORTS]:
        os.unlink(f"{directory}/{old}")
    return path


def start(
    reason: str, component: str, pids: list[int], directory: str, name: str
) -> tuple[int, int]:
    """Fork a child that takes the report. Return its pid and the descriptor on which it says in JSON what it found.

    Never waits. Raises OSError when there can be no further process.
    """
    keeper = os.getpid()
    read, write = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, launch.ALL_SIGNALS)
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if pid == 0:
        try:
            _take(keeper, write, reason, component, pids, f"{directory}/{DIRECTORY}", name)
        finally:
            # A child must never return into the keeper's code.
            os._exit(0)
    os.close(write)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.set_blocking(read, False)
    return pid, read


def _take(
    keeper: int,
    write: int,
    reason: str,
    component: str,
    pids: list[int],
    directory: str,
    name: str,
) -> None:
    signal.set_wakeup_fd(-1)
    posix.prctl(posix.PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != keeper:
        return
    # Above all the locks: whoever holds one of their descriptors holds them.
    for fd in [int(n) for n in os.listdir("/proc/self/fd")]:
        if fd not in (0, 1, 2, write):
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself
    text, data = compose(reason, component, pids)
    try:
        data["report"] = keep(directory, name, text)
    except OSError as error:
        data["report_failed"] = f"cannot write {directory}/{name}: {error.strerror}"
    line = json.dumps(data).encode()
    if len(line) > MAX_SUMMARY_BYTES:
        data["first"] = []
        line = json.dumps(data).encode()
    os.write(write, line[:MAX_SUMMARY_BYTES])


def understand(line: bytes) -> dict[str, Json]:
    """Return what the child said, or nothing when it said nothing that can be read."""
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
