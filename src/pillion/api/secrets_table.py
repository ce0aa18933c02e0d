"""The routes of secrets."""

from __future__ import annotations

from pillion.api import secrets
from pillion.api.route import EVENT_STREAM, JSON, Answer, Parameter, Role, Route

_TEXT: dict[str, object] = {"type": "string"}
_DURATION: dict[str, object] = {"type": "string", "examples": ["30s", "1m"]}
_CHANGES = (
    "With `Accept: text/event-stream`: what there is as events `put`, then `current`, then each change as `put` or "
    "`delete`; no event carries a value or an id, and a comment comes every 15 s."
)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/secrets",
        role=Role.APP,
        handler=secrets.get_secrets,
        summary="Which secrets there are",
        description="Names, kinds, who may read each, whether it is present, its version (a keyed hash) and when it "
        f"changed; never a value. {_CHANGES}",
        answers=(Answer(200, "The secrets.", secrets.SecretList, (JSON, EVENT_STREAM)),),
        refusals=(501, 503, 504),
    ),
    Route(
        method="GET",
        path="/v1/secrets/{name+}",
        role=Role.APP,
        handler=secrets.get_secret,
        summary="The value of a secret",
        description="Read from its place at this moment, and kept nowhere; at most 1 MiB. Text as it is, other bytes in "
        "base64, with `encoding` saying so. One whose access is `operator` is refused to the app: 403. With `wait` and "
        "`version` the answer comes when the value is another, or after the wait; an absent one has the version `` "
        f"(empty). {_CHANGES}",
        answers=(
            Answer(200, "The value.", secrets.SecretValue, (JSON, EVENT_STREAM)),
            Answer(304, "It is still the version in If-None-Match.", media=()),
        ),
        parameters=(
            Parameter("wait", _DURATION, "How long to wait for another version, at most 5m."),
            Parameter("version", _TEXT, "The version that is known already."),
        ),
        refusals=(404, 501, 503, 504),
    ),
)
