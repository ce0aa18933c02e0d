"""What the agent may ask of the app's watchdog: to be fed, to bite, and by what the app is measured."""

from __future__ import annotations

from .reply import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .keeper import Keeper
    from .reply import Reply
    from .wire import Json, Message

_MAX_TOLD_PIDS = 1024
_MAX_REASON_CHARACTERS = 200


class WatchdogCalls:
    """The methods by name; the keeper decides, whoever asks."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.methods: dict[str, Callable[[Reply, Message], None]] = {
            "app-processes": self._app_processes,
            "watchdog": self._watchdog,
            "hang": self._hang,
        }

    def _app_processes(self, reply: Reply, params: Message) -> None:
        """What the agent measures by: the app's processes, and what its control group counts."""
        del params
        app = self._keeper.app
        process = app.process
        if process is None:
            reply.result({"pid": None, "pids": []})
            return
        pids: list[Json] = list(self._keeper.exits.app_pids(process)[:_MAX_TOLD_PIDS])
        reply.result(
            {
                "pid": process.pid,
                "pids": pids,
                "memory": process.group.memory(),
                "memory_limit": app.limits.get("memory"),
                "cpu_s": process.group.cpu_s(),
            }
        )

    def _watchdog(self, reply: Reply, params: Message) -> None:
        """The app shows through its agent that it lives, or that it does not."""
        keeper = self._keeper
        if keeper.app.process is None:
            raise Refused(409, "Not running", f"cannot take a heartbeat: app is {keeper.app.state}")
        status = params.get("status")
        if isinstance(status, str) and keeper.notify.update({"STATUS": status}):
            keeper.inbox.push_state_soon()
        if params.get("trigger") is True:
            self._declare_hung("it asked for it: POST /v1/watchdog with trigger")
        else:
            keeper.watch.fed()
        reply.result(keeper.watch.facts())

    def _hang(self, reply: Reply, params: Message) -> None:
        """Others have found the app hung (no progress, too near a limit)."""
        reason = params.get("reason")
        if not isinstance(reason, str) or not reason:
            raise Refused(422, "No reason", "cannot declare the app hung: give a reason")
        self._declare_hung(reason[:_MAX_REASON_CHARACTERS])
        reply.result({})

    def _declare_hung(self, reason: str) -> None:
        app = self._keeper.app
        if self._keeper.adopted is not None:
            raise Refused(
                409,
                "Attached",
                "cannot end the app: it was started by someone else; ask its own supervisor",
            )
        if app.process is None:
            raise Refused(409, "Not running", f"cannot declare the app hung: it is {app.state}")
        if not self._keeper.watch.hang(app, app.process, reason):
            raise Refused(409, "Ending", "cannot declare the app hung: it is being ended already")
