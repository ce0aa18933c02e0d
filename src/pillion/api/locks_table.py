"""The routes of locks and elections."""

from __future__ import annotations

from pillion.api import elections, locks
from pillion.api.route import EVENT_STREAM, JSON, Answer, Parameter, Role, Route

_TEXT: dict[str, object] = {"type": "string"}
_FLAG: dict[str, object] = {"type": "boolean", "default": False}
_TOKEN: dict[str, object] = {"type": "integer", "minimum": 0, "default": 0}
_DURATION: dict[str, object] = {"type": "string", "examples": ["30s", "1m"]}
_LEASE = Parameter("lease", _TEXT, "The lease that was answered when it was taken.")
_FORCE = Parameter("force", _FLAG, "Take it from whoever holds it, for the operator alone.")
_TAKEN = (
    "It ends when `ttl` passes without a renewal, with the instance, and with what `bind` says: `app` with the app's "
    "process (the default for the app, where it runs), `process` with the process that asks (on the Unix socket), `lease` with "
    "its time alone (the default for others). `token` is the fencing token: it grows with every holder, so that a "
    "resource which remembers the highest it has seen can refuse one who has lost the lock without knowing."
)
_RENEWED = (
    "With `lease` it is a renewal: the time counts anew, and nothing is written. While the store is away a renewal is answered "
    "503, and `expires_in_s` says how long the lease is still safe."
)
_PUT_REFUSALS = (404, 409, 415, 422, 501, 503, 507)
_DELETE_REFUSALS = (404, 409, 501, 503, 507)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/locks",
        role=Role.APP,
        handler=locks.get_locks,
        summary="The locks that are held",
        description="Of all instances that share the store: who holds each, since when, and how many wait.",
        answers=(Answer(200, "The locks.", locks.LockList),),
        refusals=(501, 503),
    ),
    Route(
        method="GET",
        path="/v1/locks/{name}",
        role=Role.APP,
        handler=locks.get_lock,
        summary="Who holds a lock",
        description="404 when nobody does.",
        answers=(Answer(200, "Its holder.", locks.Held),),
        refusals=(404, 501, 503),
    ),
    Route(
        method="PUT",
        path="/v1/locks/{name}",
        role=Role.APP,
        handler=locks.put_lock,
        summary="Take a lock, or renew its lease",
        description=f"Waits in the order of asking, at most `wait`; then 409, with who holds it. {_TAKEN} {_RENEWED}",
        answers=(
            Answer(200, "Renewed.", locks.Lease),
            Answer(201, "The lock is yours.", locks.Lease),
        ),
        body=locks.LockRequest,
        refusals=_PUT_REFUSALS,
    ),
    Route(
        method="DELETE",
        path="/v1/locks/{name}",
        role=Role.APP,
        handler=locks.delete_lock,
        summary="Release a lock",
        description="404 when nobody holds it, 409 when another does. The first who waits has it at once.",
        answers=(Answer(200, "Released.", locks.Released),),
        parameters=(_LEASE, _FORCE),
        refusals=_DELETE_REFUSALS,
    ),
    Route(
        method="GET",
        path="/v1/elections",
        role=Role.APP,
        handler=elections.get_elections,
        summary="The elections that have a leader",
        description="Of all instances that share the store.",
        answers=(Answer(200, "The elections.", elections.ElectionList),),
        refusals=(501, 503),
    ),
    Route(
        method="GET",
        path="/v1/elections/{name}",
        role=Role.APP,
        handler=elections.get_election,
        summary="Who leads",
        description="Without a leader `token` is 0. With `wait` the answer comes when the leader's token is another than "
        "`token`, or after the wait. With `Accept: text/event-stream`: who leads as an event `leader`, and again whenever another "
        "leads, nobody does, or the leader tells another value; a comment comes every 15 s.",
        answers=(Answer(200, "The leader.", elections.Election, (JSON, EVENT_STREAM)),),
        parameters=(
            Parameter("wait", _DURATION, "How long to wait for another leader, at most 5m."),
            Parameter("token", _TOKEN, "The token of the leader that is known; 0 for nobody."),
        ),
        refusals=(501, 503),
    ),
    Route(
        method="PUT",
        path="/v1/elections/{name}",
        role=Role.APP,
        handler=elections.put_election,
        summary="Campaign, or go on leading",
        description="Waits to lead, in the order of asking, at most `wait` (30 s); then 409, with who leads. `value` is told to "
        f"those who look for the leader; a renewal may change it. {_TAKEN} {_RENEWED}",
        answers=(
            Answer(200, "Renewed.", locks.Lease),
            Answer(201, "You lead.", locks.Lease),
        ),
        body=elections.CampaignRequest,
        refusals=_PUT_REFUSALS,
    ),
    Route(
        method="DELETE",
        path="/v1/elections/{name}",
        role=Role.APP,
        handler=elections.delete_election,
        summary="Resign",
        description="404 when nobody leads, 409 when another does. The first who campaigns leads at once.",
        answers=(Answer(200, "Resigned.", locks.Released),),
        parameters=(_LEASE, _FORCE),
        refusals=_DELETE_REFUSALS,
    ),
)
