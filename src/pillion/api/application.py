# cython: annotation_typing=False, auto_pickle=False
"""One request to one answer: find the route, decide who asks, call the handler, and turn every error into a problem.

The order is that of the least said to the least known: a stranger on the Unix socket and a foreign Host
learn nothing, not even which paths there are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.api.access import PROBE, UNIX, too_low
from pillion.api.dispatch import Dispatch
from pillion.api.problems import ProblemAnswer, problem, refusal
from pillion.api.query import check_names
from pillion.errors import PillionError, RefusedError, UnreachableError, UsageError
from pillion.http.codec.names import AUTHORIZATION
from pillion.http.server.messages import Response  # where its C side is declared
from pillion.store.interface import StoreFullError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from pillion.api.access import Access
    from pillion.api.context import Context
    from pillion.api.dispatch import Methods
    from pillion.api.route import Role, Route
    from pillion.http.server.messages import Request


class Application:
    """The handler of the agent's HTTP server.

    Connections are told apart by their listener's name: `unix`, `probe`, and everything else is TCP.
    """

    __slots__ = ("_access", "_context", "_probes", "_quiet", "_routes", "_under_way")

    def __init__(self, context: Context, access: Access, routes: Iterable[Route]) -> None:
        table = tuple(routes)
        self._context = context
        self._access = access
        self._routes = Dispatch(table)
        self._probes = Dispatch([route for route in table if route.probe])
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def quiet(self, within_s: float) -> bool:
        """Wait until no handler is at work, at most `within_s` seconds; False when one still is."""
        try:
            await asyncio.wait_for(self._quiet.wait(), within_s)
        except TimeoutError:
            return False
        return True

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer `request`; synchronous handlers are answered without a task."""
        answer = self._answer(request)
        if type(answer) is ProblemAnswer:
            answer.locate(request.path)
        return answer

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        route, values = self._find(request)
        if isinstance(route, Response):
            return route
        try:
            if request.query_string:
                check_names(request, route.parameters)
            answer = route.handler(self._context, request, values)
        except PillionError as error:
            return problem_of(error)
        if isinstance(answer, Response):
            return answer
        return self._guarded(answer, request.path)

    async def _guarded(self, awaited: Awaitable[Response], path: str) -> Response:
        self._under_way += 1
        self._quiet.clear()
        try:
            answer = await awaited
        except PillionError as error:
            answer = problem_of(error)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()
        if isinstance(answer, ProblemAnswer):
            answer.locate(path)
        return answer

    def _find(self, request: Request) -> tuple[Route | Response, tuple[str, ...]]:
        """The route with the values of its path, if whoever asks may use it; else the refusal."""
        access, listener = self._access, request.listener
        role: Role | Response
        if listener == UNIX:
            role = access.on_unix(request.peer.uid)
            if isinstance(role, Response):
                return role, ()
            route, values = self._route(self._routes, request)
        elif listener == PROBE:
            # What is offered there at all is for anybody; handlers tell strangers less.
            return self._route(self._probes, request)
        else:
            foreign = access.host(request.authority)
            if foreign is not None:
                return foreign, ()
            route, values = self._route(self._routes, request)
            if isinstance(route, Response):
                return route, ()
            role = access.on_tcp(request.headers.known(AUTHORIZATION), route.role)
            if isinstance(role, Response):
                return role, ()
        if isinstance(route, Response):
            return route, ()
        if role < route.role:
            return too_low(role, route.role), ()
        return route, values

    def _route(
        self, routes: Dispatch, request: Request
    ) -> tuple[Route | Response, tuple[str, ...]]:
        found = routes.find(request.path)
        if found is None:
            detail = (
                f"cannot find {request.path[:256]}: there is no such path; see /v1/openapi.json"
            )
            return problem(404, detail), ()
        methods, values = found
        route = methods.routes.get(request.method)
        return (_not_allowed(request, methods) if route is None else route), values


def problem_of(error: PillionError) -> Response:
    """The answer for an error that a handler raised on purpose."""
    if isinstance(error, RefusedError):
        return refusal(error)
    if isinstance(error, UsageError):
        return problem(400, str(error))
    if isinstance(error, StoreUnavailableError):
        status = 507 if isinstance(error, StoreFullError) else 503
        return problem(status, str(error), headers=[(b"retry-after", b"1")])
    if isinstance(error, UnreachableError):
        return problem(504, str(error))
    return problem(500, str(error))


def _not_allowed(request: Request, methods: Methods) -> Response:
    allowed = methods.allow.decode()
    return problem(
        405,
        f"cannot {request.method[:32]} {request.path[:256]}: it takes {allowed}",
        headers=[(b"allow", methods.allow)],
    )
