"""The ordered end: the app, the ambassador, the last output, the proxies, then the sidecar with its final flush, then the scribe. Every wait
has a bound.
"""

from __future__ import annotations

from . import component as parts
from . import tree
from .app import stop_signal
from .lean import signal
from .sidecar import sidecar_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .component import Component
    from .keeper import Keeper
    from .loop import Timer
    from .wire import Message

# How long the output may take to reach disk and terminal once the app is gone.
_DRAIN_BOUND_S = 5.0
# What a bounded helper gets on top before it is killed.
_MARGIN_S = 1.0


class Shutdown:
    """Walks through the phases once `begin` or `asked` has been called; `begun` tells that nothing is to be started any more."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.begun = False
        self._code: int | None = None
        self._phase = ""
        self._kill_armed = False
        # When the app is killed; it may ask for longer.
        self.deadline: Timer | None = None

    def asked(self, number: int, reason: str) -> None:
        """Someone wants us to stop: the app gets that very signal; for TERM with a deadline."""
        if number == signal.SIGTERM or self._keeper.app.process is None:
            self.begin(None, reason, number)
            return
        self._mark(reason)
        self._keeper.drain.before(lambda: self._keeper.signal_app(number))

    def begin(self, code: int | None, reason: str, number: int | None = None) -> None:
        """Stop everything in order. `code` is the exit code, None for the app's."""
        self._mark(reason)
        if code is not None:
            self._code = code
        keeper, app = self._keeper, self._keeper.app
        if app.restart_timer is not None:
            app.restart_timer.cancel()
            app.restart_timer = None
        process = app.process
        if keeper.adopted is not None:
            # Not ours to end.
            self._code = self._code or 0
            self._stop_ambassador()
            return
        if process is None:
            if self._code is None:
                last = app.last_exit or {}
                last_code = last.get("code")
                self._code = (
                    last_code if isinstance(last_code, int) else 128 + int(number or signal.SIGTERM)
                )
            app.state = app.state if app.state == parts.FAILED else parts.STOPPED
            self._stop_ambassador()
            return
        app.state = parts.STOPPING
        keeper.drain.before(lambda: self._stop_app(number))

    def _stop_app(self, number: int | None) -> None:
        keeper = self._keeper
        first = stop_signal(keeper.plan["app"]["stop_signal"])
        keeper.signal_app(first if number in (None, signal.SIGTERM) else int(number or first))
        keeper.signal_app(signal.SIGCONT)
        if not self._kill_armed:
            self._kill_armed = True
            stop_timeout_s = keeper.plan["app"]["stop_timeout_s"]
            self.deadline = keeper.loop.after(stop_timeout_s, self._kill_app)

    def _mark(self, reason: str) -> None:
        if self.begun:
            return
        self.begun = True
        self._phase = "app"
        self._keeper.event("stopping", "keeper", reason)
        if self._keeper.upgrade is not None:
            self._keeper.upgrade.abandon("the instance is stopping")

    def _kill_app(self) -> None:
        self.deadline = None
        process = self._keeper.app.process
        if process is None:
            return
        process.killed_because = (
            f"did not stop within {self._keeper.plan['app']['stop_timeout_s']:g} s"
        )
        self._keeper.event("killed", "app", process.killed_because, {"pid": process.pid})
        if process.group.tracked:
            process.group.kill()
        else:
            tree.signal_all(self._keeper.exits.app_pids(process), signal.SIGKILL)

    def app_gone(self, code: int) -> None:
        """The app and everything that it left behind have ended."""
        if self._code is None:
            self._code = code
        self._stop_ambassador()

    def _workers(self) -> list[Component]:
        return [c for c in self._keeper.sidecars if c.role == parts.AMBASSADOR]

    def _stop_ambassador(self) -> None:
        """Before the last output, of which its last records are a part."""
        if self._phase != "app":
            return
        self._phase = "ambassador"
        self._stop(self._workers())
        self.sidecar_gone(None)

    def _drain_output(self) -> None:
        if self._phase != "ambassador":
            return
        self._phase = "output"
        keeper = self._keeper
        channel = keeper.output.channel
        if channel is None or not channel.send({"op": "drain", "id": 1, "bound_s": _DRAIN_BOUND_S}):
            self._stop_proxies()
            return
        keeper.loop.after(_DRAIN_BOUND_S + _MARGIN_S, self._stop_proxies)

    def drained(self, message: Message) -> None:
        """The scribe has brought the last output to disk."""
        if not message.get("complete"):
            self._keeper.event(
                "output-lost", "scribe", "the last output did not reach disk or terminal in time"
            )
        self._stop_proxies()

    def _stop_proxies(self) -> None:
        if self._phase != "output":
            return
        self._phase = "proxies"
        keeper = self._keeper
        keeper.event("stopped", "app", f"exit code {self._code}")
        if keeper.proxies:
            from .proxies import end_all

            end_all(keeper)
        self.proxy_gone()

    def proxy_gone(self) -> None:
        """A proxy has ended, with all that was left of it."""
        if self._phase == "proxies" and not any(c.processes() for c in self._keeper.proxies):
            self._stop_sidecar()

    def _stop_sidecar(self) -> None:
        self._phase = "sidecar"
        keeper = self._keeper
        self._stop([c for c in keeper.sidecars if c.role != parts.AMBASSADOR])
        self.sidecar_gone(None)

    def _stop(self, components: list[Component]) -> None:
        keeper = self._keeper
        for component in components:
            if component.restart_timer is not None:
                component.restart_timer.cancel()
                component.restart_timer = None
            grace_s = sidecar_plan(keeper.plan, component.role)["stop_timeout_s"]
            for process in component.processes():
                if process.channel is not None:
                    process.channel.send({"op": "stop", "grace_s": grace_s})
                else:
                    keeper.kill_pid(process.pid, signal.SIGTERM)
                keeper.kill_pid(process.pid, signal.SIGCONT)
            component.state = parts.STOPPING if component.process else parts.STOPPED
            keeper.loop.after(grace_s + _MARGIN_S, self._killer(component))

    def _killer(self, component: Component) -> Callable[[], None]:
        return lambda: self._kill_sidecar(component)

    def _kill_sidecar(self, component: Component) -> None:
        for process in component.processes():
            self._keeper.event(
                "killed", component.name, "did not stop in time", {"pid": process.pid}
            )
            self._keeper.kill_pid(process.pid, signal.SIGKILL)

    def sidecar_gone(self, component: Component | None) -> None:
        """A process of the sidecar has ended."""
        del component
        keeper = self._keeper
        if self._phase == "ambassador" and not any(c.processes() for c in self._workers()):
            self._drain_output()
        if self._phase != "sidecar" or any(c.processes() for c in keeper.sidecars):
            return
        self._phase = "scribe"
        channel = keeper.output.channel
        if channel is None or not channel.send({"op": "finish", "bound_s": _DRAIN_BOUND_S}):
            self._kill_scribe()
            return
        keeper.loop.after(_DRAIN_BOUND_S + _MARGIN_S, self._kill_scribe)

    def _kill_scribe(self) -> None:
        if self._keeper.output.pid:
            self._keeper.kill_pid(self._keeper.output.pid, signal.SIGKILL)
        else:
            self._keeper.finish(self._exit_code())

    def scribe_exited(self) -> bool:
        """The scribe has ended; True when that was its turn, and then all is done."""
        if self._phase != "scribe":
            return False
        self._keeper.finish(self._exit_code())
        return True

    def _exit_code(self) -> int:
        return 1 if self._code is None else self._code
