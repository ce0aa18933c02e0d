"""What the scribe does when the keeper is dead: nothing of the tree survives it, and no line of the app is lost."""

from __future__ import annotations

import os
import time

from . import places, posix, tree
from .cgroups import Group, remove_tree
from .lean import json, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ring import Ring
    from .wire import Message

STOP = "stop"
LEAVE = "leave"

_KILL_BOUND_S = 5.0
_SIDECAR_BOUND_S = 5.0


class Tree:
    """What the keeper said last about its processes."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._policy = STOP
        self._stop_signal = int(signal.SIGTERM)
        self._stop_timeout_s = 10.0
        self._app: list[Group] = []
        self._sidecar: list[Group] = []
        # Of proxies, where no control group has the list of their processes.
        self._sessions: list[int] = []
        self._bases: list[str] = []
        self._runtime_dir = ""
        self.drain_s = 10.0

    def update(self, message: Message) -> None:
        """Take over what a `tree` message says."""
        self._policy = str(message.get("policy", self._policy))
        self._stop_signal = _int(message.get("stop_signal"), self._stop_signal)
        self._stop_timeout_s = float(_int(message.get("stop_timeout_s"), 10))
        self._runtime_dir = str(message.get("runtime_dir", self._runtime_dir))
        self._app = _groups(message.get("app"))
        self._sidecar = _groups(message.get("sidecar"))
        sessions = message.get("sessions")
        self._sessions = [_int(s, 0) for s in sessions] if isinstance(sessions, list) else []
        bases = message.get("bases")
        self._bases = [str(b) for b in bases] if isinstance(bases, list) else []

    def _app_pids(self) -> list[int]:
        pids = [pid for group in self._app for pid in group.pids()]
        if not any(group.tracked for group in self._app):
            pids = tree.marked_pids(self._run)
        return pids

    def terminate_app(self) -> float | None:
        """Ask the app to end, under `stop`. Return the monotonic time at which it is to be killed, or None under `leave`."""
        if self._policy == LEAVE:
            return None
        pids = self._app_pids()
        tree.signal_all(pids, self._stop_signal)
        tree.signal_all(pids, signal.SIGCONT)
        return time.monotonic() + self._stop_timeout_s

    def app_is_gone(self) -> bool:
        """Whether no process of the app lives."""
        return not self._app_pids()

    def kill_app(self) -> None:
        """SIGKILL what is left of the app."""
        for group in self._app:
            tree.kill_until_gone(group, self._run, _KILL_BOUND_S)
        tree.signal_all(self._app_pids(), signal.SIGKILL)

    def journal(self, events: Ring | None) -> None:
        """Enter in the journal what happened; there is no keeper to do it."""
        room = events.reserve() if events is not None else None
        if events is None or room is None:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        line = json.dumps(
            {
                "time": f"{stamp}.{time.time_ns() // 1_000_000 % 1000:03d}Z",
                "kind": "guard",
                "component": "keeper",
                "reason": "the keeper was killed; the scribe ended what it left"
                if self._policy == STOP
                else "the keeper was killed; the app was left to end by itself",
                "data": {},
            }
        )
        data = line.encode() + b"\n"
        room[: len(data)] = data
        events.commit(len(data), time.time_ns())

    def end_sidecar(self) -> None:
        """Give the sidecar time for its last flush, then end it."""
        deadline_s = time.monotonic() + _SIDECAR_BOUND_S
        for group in self._sidecar:
            tree.signal_all(tree.component_pids(group, self._run, sidecar=True), signal.SIGTERM)
        tree.signal_all(self._session_pids(), signal.SIGTERM)
        for group in self._sidecar:
            while (
                tree.component_pids(group, self._run, sidecar=True)
                and time.monotonic() < deadline_s
            ):
                time.sleep(0.02)
            tree.kill_until_gone(group, self._run, _KILL_BOUND_S, sidecar=True)
        while self._session_pids() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        tree.signal_all(self._session_pids(), signal.SIGKILL)

    def _session_pids(self) -> list[int]:
        return [pid for leader in self._sessions if leader for pid in posix.session_of(leader)]

    def clear(self) -> None:
        """Remove the control groups and the files by which others find a living instance."""
        for base in self._bases:
            remove_tree(base)
        for name in (
            places.INSTANCE_FILE,
            places.API_SOCKET,
            places.KEEPER_SOCKET,
            places.NOTIFY_SOCKET,
        ):
            try:
                os.unlink(f"{self._runtime_dir}/{name}")
            except FileNotFoundError:
                continue


def _groups(value: object) -> list[Group]:
    return [Group.load(g) for g in value if isinstance(g, dict)] if isinstance(value, list) else []


def _int(value: object, default: int) -> int:
    return int(value) if isinstance(value, (int, float)) else default
