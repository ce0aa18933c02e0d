"""From fork to exec: everything that has to be so before another program runs in a child, in the order in which it has to be done."""

from __future__ import annotations

import os
import resource
import sys

from . import posix
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Signals whose dispositions Python or we have changed; a program expects the usual ones.
_CHANGED = (
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGCHLD, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGWINCH, signal.SIGALRM,
)  # fmt: skip
ALL_SIGNALS = frozenset(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}

NOT_FOUND = 127
NOT_EXECUTABLE = 126


class Launch:
    """One program to start. Descriptors in `fds` are `{number in the child: number here}`; all else closes on exec.

    `foreground` gives the child the terminal as its own group; otherwise it gets a session of its own. `death_signal` (0: none) reaches it
    when the keeper dies. `most_files` lifts the number of open files to what the kernel allows us, before `open_files` bounds it.
    """

    __slots__ = (
        "argv", "close", "death_signal", "env", "fds", "foreground", "ids", "keep", "listen_fds", "most_files", "oom_score",
        "open_files", "procs_files", "workdir",
    )  # fmt: skip

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        fds: dict[int, int],
        *,
        procs_files: list[str] | None = None,
        workdir: str | None = None,
        ids: tuple[int, int, list[int]] | None = None,
        open_files: int | None = None,
        death_signal: int = 0,
        foreground: int = -1,
        oom_score: str | None = None,
        listen_fds: bool = False,
        keep: tuple[int, ...] = (),
        most_files: bool = False,
    ) -> None:
        self.argv = argv
        self.env = env
        self.fds = fds
        self.procs_files = procs_files or []
        self.workdir = workdir
        self.ids = ids
        self.open_files = open_files
        self.death_signal = death_signal
        self.foreground = foreground
        self.oom_score = oom_score
        self.listen_fds = listen_fds
        self.keep = keep
        self.most_files = most_files


class Failure(Exception):
    """A program that could not be started: `code` is what a shell would return (127 not found, 126 not executable)."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def start(launch: Launch) -> tuple[int, int]:
    """Fork and exec. Return the pid and a descriptor that reads empty when the exec succeeded, else what `explain` understands.

    Never waits for the child. Raises Failure when there can be no further process.
    """
    keeper = os.getpid()
    report_read, report_write = os.pipe()
    # No handler of ours may run in the child: everything is held back until dispositions are the usual ones again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(report_read)
        os.close(report_write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise Failure(
            f"cannot start {launch.argv[0]}: {error.strerror}; raise the limit of processes",
            NOT_EXECUTABLE,
        ) from error
    if pid == 0:
        _become(launch, keeper, report_write)
    os.close(report_write)
    if launch.foreground >= 0:
        _give_terminal(launch.foreground, pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.set_blocking(report_read, False)
    return pid, report_read


def _give_terminal(terminal: int, pid: int) -> None:
    """Make `pid` the leader of the terminal's foreground group; child and parent both do it, so that neither can be too late."""
    try:
        os.setpgid(pid, pid)
        os.tcsetpgrp(terminal, pid)
    except OSError:
        # The child has gone on to exec and done it itself, or has ended.
        return


def _become(launch: Launch, keeper: int, report: int) -> NoReturn:
    stage = "start"
    try:
        for path in launch.procs_files:
            stage = f"join {path} for"
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            os.write(fd, b"0")
            os.close(fd)
        stage = "start"
        if launch.oom_score is not None:
            _reset_oom_score(launch.oom_score)
        if launch.foreground >= 0:
            _give_terminal(launch.foreground, os.getpid())
        else:
            os.setsid()
        if launch.most_files:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        report = _place_descriptors(launch, report)
        if launch.open_files is not None:
            hard = max(launch.open_files, 1)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if launch.ids is not None:
            stage = "change the user for"
            # os.execvpe imports it when it is called, and the other user may not be able to read our library.
            import warnings  # noqa: F401

            uid, gid, groups = launch.ids
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            stage = "start"
        if launch.workdir is not None:
            stage = f"enter {launch.workdir} for"
            os.chdir(launch.workdir)
            stage = "start"
        if launch.death_signal:
            # After any change of user, which clears it (prctl(2)); a keeper that died before is noticed by its absence.
            posix.prctl(posix.PR_SET_PDEATHSIG, launch.death_signal)
            if os.getppid() != keeper:
                os._exit(NOT_EXECUTABLE)
        env = launch.env
        if launch.listen_fds:
            env = {**env, "LISTEN_PID": str(os.getpid())}
        for number in _CHANGED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(launch.argv[0], launch.argv, env)  # noqa: S606 # no shell is the point
    except OSError as error:
        text = f"{error.errno or 0}\0{stage}\0{launch.argv[0]}"
        os.write(report, text.encode(errors="replace")[:1000])
    except Exception as error:  # noqa: BLE001 # a child must never return into the keeper's code
        os.write(report, f"0\0{stage}\0{launch.argv[0]}: {error}".encode(errors="replace")[:1000])
    finally:
        os._exit(NOT_EXECUTABLE)


def _reset_oom_score(value: str) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(value)
    except OSError as error:
        print(f"pillion: cannot reset the OOM score: {error.strerror}", file=sys.stderr)


def _place_descriptors(launch: Launch, report: int) -> int:
    """Put every descriptor in its place without stepping on another, and return where the report went."""
    top = max([2, *launch.fds, *launch.fds.values(), *launch.keep]) + 1
    moved = {}
    for target, source in launch.fds.items():
        moved[target] = _dup_above(source, top)
    report = _dup_above(report, top)
    for target, source in moved.items():
        os.dup2(source, target, inheritable=True)
    for fd in launch.keep:
        os.set_inheritable(fd, True)
    return report


def _dup_above(fd: int, least: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)


def explain(report: bytes) -> Failure:
    """Return what a child wrote before it gave up, as a shell would tell it and with its code."""
    number, stage, what = (*report.decode(errors="replace").split("\0"), "", "")[:3]
    errno = int(number) if number.isdigit() else 0
    reason = os.strerror(errno) if errno else "unexpected error"
    if stage == "start" and errno == 2:
        found = os.path.exists(what) if "/" in what else False
        reason = (
            "its interpreter is missing (first line of the script)" if found else "no such command"
        )
        return Failure(f"cannot start {what}: {reason}", NOT_FOUND)
    remedy = ""
    if stage == "start" and errno == 13:
        directory = os.path.isdir(what)
        reason = "it is a directory" if directory else reason
        remedy = "" if directory else "; make it executable (chmod +x)"
    elif stage == "start" and errno == 8:
        remedy = "; a script needs a first line such as #!/bin/sh"
    return Failure(f"cannot {stage} {what}: {reason}{remedy}", NOT_EXECUTABLE)


def lookup_ids(user: str | None, group: str | None) -> tuple[int, int, list[int]] | None:
    """Return uid, gid and supplementary groups for the names (or numbers) in the settings; None for no change. Raises Failure."""
    if user is None and group is None:
        return None
    import grp
    import pwd

    try:
        entry = (
            pwd.getpwuid(os.getuid() if user is None else int(user))
            if user is None or user.isdigit()
            else pwd.getpwnam(user)
        )
    except KeyError:
        raise Failure(
            f"cannot run the app as {user}: no such user; set app.user", NOT_EXECUTABLE
        ) from None
    gid = entry.pw_gid
    if group is not None:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise Failure(
                f"cannot run the app as group {group}: no such group; set app.group", NOT_EXECUTABLE
            ) from None
    return entry.pw_uid, gid, os.getgrouplist(entry.pw_name, gid)
