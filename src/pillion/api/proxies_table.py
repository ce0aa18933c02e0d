"""The routes of managed proxies."""

from __future__ import annotations

from pillion.api import proxies
from pillion.api.components import Nothing
from pillion.api.route import Answer, Role, Route
from pillion.proxies.overview import (
    HistoryList,
    HistoryVersion,
    ProxyAttempt,
    ProxyList,
    ProxyPreview,
    ProxyView,
)

_OUTCOMES = (
    "`outcome` says what has come of it: `applied` (loaded and proved), `changed` (at run time), `unchanged` (it served that already), "
    "`waiting` (for old workers to end), `held` (by the guard), `refused` (by the proxy's own check, or nothing could be rendered), `returned` (it did not get to "
    "serve, and the last good version does), `failed` (neither does); `reason` is the proxy's own words, with the line of the template."
)
_REFUSALS = (404, 415, 422, 503, 504)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/proxies",
        role=Role.APP,
        handler=proxies.get_proxies,
        summary="The managed proxies",
        description="Which version each serves, since when, what came of the last attempt, and what its templates use.",
        answers=(Answer(200, "The proxies, in the order of the settings.", ProxyList),),
    ),
    Route(
        method="GET",
        path="/v1/proxies/{name}",
        role=Role.APP,
        handler=proxies.get_proxy,
        summary="One managed proxy",
        description="As in the list.",
        answers=(Answer(200, "The proxy.", ProxyView),),
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/v1/proxies/{name}/history",
        role=Role.OPERATOR,
        handler=proxies.get_history,
        summary="The versions of a proxy, and what became of them",
        description="The newest first, as many as its `history` setting keeps. Only entries that are `kept` have their files.",
        answers=(Answer(200, "The history.", HistoryList),),
        refusals=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/proxies/{name}/history/{version}",
        role=Role.OPERATOR,
        handler=proxies.get_version,
        summary="One version: its files, and what it changed",
        description="`diff` is unified, against the version that served before it. Where a secret stood there are stars.",
        answers=(Answer(200, "The version.", HistoryVersion),),
        refusals=(404, 503),
    ),
    Route(
        method="POST",
        path="/v1/proxies/{name}/render",
        role=Role.OPERATOR,
        handler=proxies.post_render,
        summary="What would be applied now",
        description="Renders with the values of now and compares with what serves; nothing is changed and nothing is checked. Where a secret stands "
        "there are stars. When nothing comes of the templates, `problem` says why.",
        answers=(Answer(200, "The files, and their diff.", ProxyPreview),),
        body=Nothing,
        refusals=_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/proxies/{name}/apply",
        role=Role.OPERATOR,
        handler=proxies.post_apply,
        summary="Apply what the sources say now",
        description=f"Without waiting for more changes, also what was refused before; a version that was chosen by hand is given up. {_OUTCOMES}",
        answers=(Answer(200, "What has come of it.", ProxyAttempt),),
        body=proxies.ApplyRequest,
        refusals=_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/proxies/{name}/rollback",
        role=Role.OPERATOR,
        handler=proxies.post_rollback,
        summary="Go back to an earlier version",
        description="It is checked, loaded and proved as any other, and stays (`pinned`) until the next apply by hand or other settings. "
        f"Secrets in it are those of now. {_OUTCOMES}",
        answers=(Answer(200, "What has come of it.", ProxyAttempt),),
        body=proxies.RollbackRequest,
        refusals=_REFUSALS,
    ),
)
