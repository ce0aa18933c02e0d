"""The listening sockets of the ambassador and of the offload: bound once, kept while processes and versions change, and told to the app by
its environment.

Loaded only when there is one of them. A connection that comes while nobody accepts waits in the backlog.
"""

from __future__ import annotations

import errno

from .instance import host_port, listen_tcp, parse_address
from .launch import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .lean import socket
    from .plan import AmbassadorPlan, ListenerPlan, Plan

PROXY = "proxy"
INBOUND = "inbound"
OFFLOAD = "offload"
UPSTREAM = "upstream:"
_BACKLOG = 4096
# What names a proxy in an environment, in both cases; ours stands in the first two, and nobody else's beside it.
_OURS = ("http_proxy", "https_proxy")
_PROXIES = (*_OURS, "all_proxy", "ftp_proxy")
_DIRECT = ("localhost", "127.0.0.1", "::1")
_USER = "pillion"


def setting_of(name: str) -> str:
    """Return the setting that gives a listener its address."""
    if name.startswith(UPSTREAM):
        return f"ambassador.upstreams.{name.removeprefix(UPSTREAM)}.listen"
    return f"{name}.listen" if name in (INBOUND, OFFLOAD) else "ambassador.proxy.listen"


def worker_listeners(plan: Plan) -> dict[str, ListenerPlan]:
    """Return the listeners of the ambassador's workers."""
    return plan["ambassador"]["listeners"] if "ambassador" in plan else {}


def plan_listeners(plan: Plan) -> dict[str, ListenerPlan]:
    """Return every listener that a plan has besides the API's: the workers', and those that are handed to proxies."""
    found = {**worker_listeners(plan)}
    for proxy in plan.get("proxies", {}).values():
        found.update(proxy["listeners"])
    return found


def bind(listeners: Mapping[str, ListenerPlan]) -> dict[str, socket.socket]:
    """Return every listener bound, by name; all or none. Raises Failure with who holds an address."""
    bound: dict[str, socket.socket] = {}
    try:
        for name, plan in listeners.items():
            bound[name] = _listen(name, plan)
    except Failure:
        for sock in bound.values():
            sock.close()
        raise
    return bound


def _listen(name: str, plan: ListenerPlan) -> socket.socket:
    sock = listen_tcp(plan["listen"], setting_of(name))
    # Who inherits it may take that for granted: nginx does.
    sock.setblocking(False)
    return sock


def addresses(plan: Plan, sockets: Mapping[str, socket.socket]) -> dict[str, str]:
    """Return where each listener listens, as `host:port` with the port that it got."""
    return {name: host_port(sockets[name]) for name in plan_listeners(plan) if name in sockets}


class Rebinding:
    """What a newly read plan changes: `added` listeners by name, and the names that are `gone`; `undo` leaves all as it was.

    A listener whose address stays keeps its socket, with a port of its own also under another name. Raises
    Failure, and then nothing has changed.
    """

    def __init__(
        self,
        sockets: Mapping[str, socket.socket],
        old: Mapping[str, ListenerPlan],
        new: Mapping[str, ListenerPlan],
    ) -> None:
        self.added: dict[str, socket.socket] = {}
        self._fresh: list[socket.socket] = []
        self._held_up: list[socket.socket] = []
        kept = {
            n for n in new if n in old and n in sockets and new[n]["listen"] == old[n]["listen"]
        }
        self.gone = [n for n in old if n not in new]
        # Sockets whose name goes, or goes on with another address.
        self._spare = {n: sockets[n] for n in old if n not in kept and n in sockets}
        try:
            for name, plan in new.items():
                if name not in kept:
                    self.added[name] = self._renamed(plan, old) or self._bind(name, plan)
        except Failure:
            self.undo()
            raise

    def _renamed(self, plan: ListenerPlan, old: Mapping[str, ListenerPlan]) -> socket.socket | None:
        if parse_address(plan["listen"])[1] == 0:
            return None  # an app that still has the port of another must not come out here
        for name in self._spare:
            if old[name]["listen"] == plan["listen"]:
                return self._spare.pop(name)
        return None

    def _bind(self, name: str, plan: ListenerPlan) -> socket.socket:
        try:
            sock = _listen(name, plan)
        except Failure as failure:
            in_use = (
                isinstance(cause := failure.__cause__, OSError) and cause.errno == errno.EADDRINUSE
            )
            if not in_use or not self._make_room(parse_address(plan["listen"])[1]):
                raise
            sock = _listen(name, plan)
        self._fresh.append(sock)
        return sock

    def _make_room(self, port: int) -> bool:
        """Have what is to go anyway stop listening on this port: from 127.0.0.1:80 to 0.0.0.0:80 there is no other way."""
        in_the_way = [s for s in self._spare.values() if s.getsockname()[1] == port]
        for sock in in_the_way:
            stop_listening(sock)
        self._held_up += in_the_way
        return bool(in_the_way)

    @property
    def dropped(self) -> list[socket.socket]:
        """The sockets that nobody needs any more; the caller's to close."""
        return list(self._spare.values())

    def undo(self) -> None:
        """Close what was bound, and listen again where listening was stopped."""
        for sock in self._fresh:
            sock.close()
        for sock in self._held_up:
            sock.listen(_BACKLOG)


def stop_listening(sock: socket.socket) -> None:
    """End a listening socket for everyone who holds it, so that its address can be bound anew (shutdown(2), on Linux)."""
    from .lean import socket as module

    try:
        sock.shutdown(module.SHUT_RDWR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:  # it had stopped before
            raise


def announce(
    env: dict[str, str],
    given: Mapping[str, str],
    ambassador: AmbassadorPlan,
    sockets: Mapping[str, socket.socket],
    token: str,
) -> None:
    """Put the ways out into the app's environment `env`; what the user has `given` for the app stays as it is."""
    ours: dict[str, str] = {}
    for name, plan in ambassador["listeners"].items():
        if name.startswith(UPSTREAM) and name in sockets:
            scheme = "tcp" if plan["protocol"] == "tcp" else "http"
            variable = f"PILLION_UPSTREAM_{variable_part(name.removeprefix(UPSTREAM))}"
            ours[variable] = f"{scheme}://{_near(sockets[name])}"
    if PROXY in ambassador["listeners"] and PROXY in sockets:
        user = f"{_USER}:{token}@" if ambassador["proxy_credentials"] else ""
        url = f"http://{user}{_near(sockets[PROXY])}"
        ours["PILLION_PROXY"] = url
        if ambassador["proxy_env"]:
            _announce_proxy(env, given, url)
    env.update({name: value for name, value in ours.items() if name not in given})


def _announce_proxy(env: dict[str, str], given: Mapping[str, str], url: str) -> None:
    for name in _PROXIES:
        cases = (name, name.upper())
        if any(case in given for case in cases):
            continue
        for case in cases:
            env.pop(case, None)
            if name in _OURS:
                env[case] = url
    had = [
        part.strip() for case in ("no_proxy", "NO_PROXY") for part in env.get(case, "").split(",")
    ]
    env["no_proxy"] = env["NO_PROXY"] = ",".join(dict.fromkeys([*_DIRECT, *filter(None, had)]))


def variable_part(name: str) -> str:
    """Return a name as part of a variable's: upper case, with `_` for what is no letter or digit."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


def _near(sock: socket.socket) -> str:
    """Where the app reaches a listener on its own host: one on every address by the loopback."""
    address = host_port(sock)
    for everywhere, loopback in (
        ("0.0.0.0:", "127.0.0.1:"),
        ("[::]:", "[::1]:"),
    ):  # compared, not bound
        if address.startswith(everywhere):
            return loopback + address.removeprefix(everywhere)
    return address
