"""The keeper's own upgrade: another version in the same process, by execve, with a trial before and a way back after.

First a trial child of the new version must read the state. Then every signal is held back, the state's descriptors are let through the
execve, and the new version takes over; when it cannot, it executes the old one again.
"""

from __future__ import annotations

import os
import sys

from . import launch
from .lean import json, signal
from .sidecar import running_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .keeper import Keeper
    from .loop import Timer
    from .reply import Reply
    from .wire import Json

_TRIAL_BOUND_S = 15.0

# What the new interpreter runs. It has to work in every version, so it is as small as it can be: whatever fails, the old command comes back.
_BOOT = (
    "import os, sys\n"
    "fd, back = int(sys.argv[1]), sys.argv[2:]\n"
    "try:\n"
    "    {paths}\n"
    "    from pillion.keeper.resume import resume\n"
    "    keeper = resume(fd)\n"
    "except BaseException as error:\n"
    "    os.execv(back[0], [*back, repr(error)])\n"
    "sys.exit(keeper.run())\n"
)
_TRIAL = "import sys\n{paths}\nfrom pillion.keeper.resume import trial\nsys.exit(trial(int(sys.argv[1])))\n"
_BACK = (
    "import sys\n{paths}\nfrom pillion.keeper.resume import resume\n"
    "sys.exit(resume(int(sys.argv[1]), failure=sys.argv[2]).run())\n"
)


def _interpreter(python: str | None) -> tuple[list[str], str]:
    """Return the interpreter's command and the line that lets it find its own Pillion."""
    if python is not None:
        return [python, "-I"], "pass"
    return [sys.executable, "-I", "-S"], f"sys.path[:] = {running_paths()!r}"


class Succession:
    """At most one at a time; `under_way` until the old version has answered, or the new one has."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._reply: Reply | None = None
        self._python: str | None = None
        self._trial = 0
        self._report = -1
        self._deadline: Timer | None = None

    @property
    def under_way(self) -> bool:
        """Whether a trial is running."""
        return self._reply is not None

    def begin(self, python: str | None, reply: Reply) -> None:
        """Try the new version in a child first."""
        keeper = self._keeper
        self._python, self._reply = python, reply
        processes = [(c.name, p, c) for c in keeper.components.values() for p in c.processes()]
        if starting := [name for name, p, _ in processes if p.report >= 0]:
            self._refuse(409, f"{', '.join(starting)} is just being started; try again")
            return
        if retiring := [name for name, p, c in processes if p is not c.process]:
            self._refuse(
                409, f"{', '.join(retiring)} is still handing over from the last upgrade; try again"
            )
            return
        if leaving := [c.name for c in (*keeper.sidecars, *keeper.proxies) if c.leaving]:
            self._refuse(409, f"{', '.join(leaving)} is just being stopped; try again")
            return
        memory = self._write_state()
        command, paths = _interpreter(python)
        argv = [*command, "-c", _TRIAL.format(paths=paths), str(memory)]
        state_fds = tuple(self._descriptors(memory))
        sidecar_output = keeper.output.streams["sidecar"].write
        try:
            self._trial, self._report = launch.start(
                launch.Launch(
                    argv,
                    dict(os.environ),
                    {1: sidecar_output, 2: sidecar_output},
                    keep=(memory, *state_fds),
                )
            )
        except launch.Failure as failure:
            self._refuse(500, str(failure))
            return
        finally:
            os.close(memory)
        keeper.event(
            "upgrade-started",
            "keeper",
            "a trial child reads the state",
            {"python": python, "pid": self._trial},
        )
        self._deadline = keeper.loop.after(
            _TRIAL_BOUND_S, lambda: keeper.kill_pid(self._trial, signal.SIGKILL)
        )

    def _write_state(self, reply: dict[str, Json] | None = None) -> int:
        from . import snapshot

        state = snapshot.dump(self._keeper)
        state["reply"] = reply
        memory = os.memfd_create("pillion-keeper-state", os.MFD_CLOEXEC)
        os.write(memory, json.dumps(state).encode())
        return memory

    @staticmethod
    def _descriptors(memory: int) -> list[int]:
        from . import snapshot

        return snapshot.descriptors(json.loads(os.pread(memory, os.fstat(memory).st_size, 0)))

    def trial_exited(self, pid: int, code: int) -> None:
        """The trial child has read the state, or has not."""
        if pid != self._trial or not pid:
            return
        self._trial = 0
        if self._deadline is not None:
            self._deadline.cancel()
        report = os.read(self._report, 4096)
        os.close(self._report)
        if report:
            self._refuse(500, str(launch.explain(report)))
        elif code != 0:
            self._refuse(
                500,
                f"the new version could not read the keeper's state (exit {code}); see pillion logs --stream sidecar",
            )
        elif self._keeper.shutdown.begun:
            self._refuse(409, "the instance is stopping")
        elif self._keeper.drain.under_way:
            self._refuse(409, "the app is just being stopped; try again")
        else:
            self._execute()

    def _execute(self) -> None:
        """Become the new version. Returns only when the execve itself failed."""
        keeper, reply = self._keeper, self._reply
        assert reply is not None
        memory = self._write_state(
            {"fd": reply.channel.fileno(), "id": reply.number, "of": self._owner(reply)}
        )
        kept = [*self._descriptors(memory), memory, reply.channel.fileno()]
        command, paths = _interpreter(self._python)
        own_command, own_paths = _interpreter(None)
        back = [*own_command, "-c", _BACK.format(paths=own_paths), str(memory)]
        argv = [*command, "-c", _BOOT.format(paths=paths), str(memory), *back]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, launch.ALL_SIGNALS)
        signal.set_wakeup_fd(-1)
        for fd in kept:
            os.set_inheritable(fd, True)
        try:
            os.execv(argv[0], argv)  # noqa: S606 # no shell is the point
        except OSError as error:
            for fd in kept:
                os.set_inheritable(fd, False)
            os.close(memory)
            keeper.loop.rewire()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._refuse(500, f"cannot execute {argv[0]}: {error.strerror}")

    def _owner(self, reply: Reply) -> str:
        for component in self._keeper.components.values():
            if component.process is not None and component.process.channel is reply.channel:
                return component.name
        return ""

    def _refuse(self, status: int, reason: str) -> None:
        reply, self._reply = self._reply, None
        self._keeper.event("upgrade-failed", "keeper", f"{reason}; the old version carries on")
        if reply is not None:
            reply.error(
                status,
                "Upgrade failed",
                f"cannot upgrade the keeper: {reason}; the old version carries on",
            )
