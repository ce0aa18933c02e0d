"""The routes of configuration."""

from __future__ import annotations

from pillion.api import config, config_past, config_schemas, config_writes
from pillion.api.config_answers import ConfigItem, ConfigList
from pillion.api.route import EVENT_STREAM, JSON, Answer, Parameter, Role, Route
from pillion.config.keys import LAYERS

_TEXT: dict[str, object] = {"type": "string"}
_DURATION: dict[str, object] = {"type": "string", "examples": ["30s", "1m"]}
_WHOLE: dict[str, object] = {"type": "integer", "minimum": 0}
_FLAG: dict[str, object] = {"type": "boolean", "default": False}
_LAYER: dict[str, object] = {"type": "string", "enum": list(LAYERS)}

_ONE_LAYER = Parameter(
    "layer", _LAYER, "What this layer says alone; what holds over all of them when left out."
)
_INTO_LAYER = Parameter("layer", _LAYER, "Which layer is written to; `service` when left out.")
_WAIT = Parameter("wait", _DURATION, "How long to wait for a change after `revision`, at most 5m.")
_REVISION = Parameter(
    "revision",
    _WHOLE,
    "What is known already: the revision of an item, or `Pillion-Revision` of an answer. One that is ahead of the store is "
    "answered at once.",
)
_CONSISTENT = Parameter(
    "consistent",
    _FLAG,
    "Ask the store first, so that what any sidecar has answered to be written is seen.",
)
_PREFIX = Parameter("prefix", _TEXT, "Only keys that begin with it.")

_READING = (
    "`Pillion-Revision` says as of which revision of the store the answer holds, and `Pillion-Stale` since how many seconds "
    "that is not certain, because the store is away, read-only or full. With `wait` the answer comes when something has "
    "changed after `revision`, or after the wait. As `text/event-stream`: the present state as events `put` without an id, "
    "`current` with one, then every change as `put` or `delete` with an id to resume from (`Last-Event-ID`); `reset` when that "
    "was forgotten, and the present state anew. A comment comes every 15 s."
)
_COMPARING = (
    "`If-Match` with an ETag, `If-None-Match: *` for a key that is not there yet; the ETag of a weaker layer holds as long as "
    "nothing is in this one. A precondition that does not hold is 412 with the ETag of what is there."
)
_READ_REFUSALS = (501, 503)
_WRITE_REFUSALS = (412, 415, 422, 501, 503, 507)
_SIDE = "A revision (`17`), a layer (`service`), both (`service@17`), or `now`"

_VALUES = (
    Route(
        method="GET",
        path="/v1/config",
        role=Role.APP,
        handler=config.get_values,
        summary="Values by their prefix",
        description=f"Every key that begins with `prefix`, in order. {_READING}",
        answers=(Answer(200, "The values.", ConfigList, (JSON, EVENT_STREAM)),),
        parameters=(_PREFIX, _ONE_LAYER, _WAIT, _REVISION, _CONSISTENT),
        refusals=_READ_REFUSALS,
    ),
    Route(
        method="POST",
        path="/v1/config",
        role=Role.APP,
        handler=config_writes.post_values,
        summary="Write many values",
        description="In the order of the request, each for itself: held against its schemas and, with a `revision`, compared; a "
        f"body of at most 1 MiB and {config_writes.MOST_ITEMS} items. Each has the status that a write of it alone would have had.",
        answers=(
            Answer(200, "All are written.", config_writes.ImportAnswer),
            Answer(207, "Some are not; their items say why.", config_writes.ImportAnswer),
        ),
        body=config_writes.Import,
        refusals=(415, 422, 501, 503),
    ),
    Route(
        method="GET",
        path="/v1/config/{key+}",
        role=Role.APP,
        handler=config.get_value,
        summary="A value",
        description='What holds for the key, from which layer and since which revision, with `ETag: "LAYER:REVISION"`. '
        f"{_READING}",
        answers=(
            Answer(200, "The value.", ConfigItem, (JSON, EVENT_STREAM)),
            Answer(304, "It is still the one in If-None-Match.", media=()),
        ),
        parameters=(_ONE_LAYER, _WAIT, _REVISION, _CONSISTENT),
        refusals=(404, *_READ_REFUSALS),
    ),
    Route(
        method="PUT",
        path="/v1/config/{key+}",
        role=Role.APP,
        handler=config_writes.put_value,
        summary="Write a value",
        description=f"A new revision in one layer. A value that does not keep to its schemas is refused before it is published, "
        f"each problem listed. {_COMPARING}",
        answers=(
            Answer(200, "It has another value now.", ConfigItem),
            Answer(201, "It is there now.", ConfigItem),
        ),
        parameters=(_INTO_LAYER,),
        body=config_writes.ConfigValue,
        refusals=_WRITE_REFUSALS,
    ),
    Route(
        method="DELETE",
        path="/v1/config/{key+}",
        role=Role.APP,
        handler=config_writes.delete_value,
        summary="Take a value out of a layer",
        description=f"What weaker layers say shows again. {_COMPARING}",
        answers=(Answer(204, "It is gone.", media=()),),
        parameters=(_INTO_LAYER,),
        refusals=(404, 412, 501, 503, 507),
    ),
)

_PAST = (
    Route(
        method="GET",
        path="/v1/history/{key+}",
        role=Role.APP,
        handler=config_past.get_history,
        summary="What a key was, and who wrote it",
        description="Revision, layer, value, time and writer of its last changes, newest first, over all layers or in one. How far it "
        "goes back is set by `store.history`.",
        answers=(Answer(200, "The changes.", config_past.PastList),),
        parameters=(
            _ONE_LAYER,
            Parameter(
                "limit",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": config_past.MOST,
                    "default": config_past.LIMIT,
                },
                "How many of the last.",
            ),
            Parameter("before", _WHOLE, "Only changes before this revision, to read on."),
        ),
        refusals=_READ_REFUSALS,
    ),
    *(
        Route(
            method="GET",
            path=path,
            role=Role.APP,
            handler=config_past.get_difference,
            summary=summary,
            description=f"{what} on which two views do not agree, with what each has. A view is a moment, a layer, or a layer at a moment.",
            answers=(Answer(200, "The difference.", config_past.DifferenceList),),
            parameters=(
                *more,
                Parameter("from", _TEXT, f"{_SIDE}; the layer `default` when left out."),
                Parameter("to", _TEXT, f"{_SIDE}, which it is when left out."),
                Parameter(
                    "layer", _LAYER, "The layer of a side that names none; all when left out."
                ),
            ),
            refusals=(410, *_READ_REFUSALS),
        )
        for path, summary, what, more in (
            ("/v1/diff", "Compare by a prefix", "The keys beginning with `prefix`", (_PREFIX,)),
            (
                "/v1/diff/{key+}",
                "Compare a key",
                "The key, or with a slash at its end the keys below it,",
                (),
            ),
        )
    ),
    Route(
        method="POST",
        path="/v1/rollback/{key+}",
        role=Role.APP,
        handler=config_writes.post_rollback,
        summary="Write again what was",
        description="What the layer had for the key at a revision becomes a new revision; when it had nothing, the key is deleted. It "
        f"has to keep to the schemas of today. {_COMPARING}",
        answers=(
            Answer(200, "What holds in the layer now; without a value it is gone.", ConfigItem),
        ),
        body=config_writes.Rollback,
        refusals=(404, 410, *_WRITE_REFUSALS),
    ),
)

_SCHEMAS = (
    Route(
        method="GET",
        path="/v1/schemas",
        role=Role.APP,
        handler=config_schemas.get_schemas,
        summary="The schemas of values",
        description="Every JSON Schema that was set, by key or prefix. They concern all services of the store.",
        answers=(Answer(200, "The schemas.", config_schemas.SchemaList),),
        parameters=(_PREFIX,),
        refusals=_READ_REFUSALS,
    ),
    Route(
        method="GET",
        path="/v1/schemas/{key+}",
        role=Role.APP,
        handler=config_schemas.get_schema,
        summary="A schema",
        description="The one that was set for just this key, or with a slash at its end for the keys below it.",
        answers=(
            Answer(200, "The schema.", config_schemas.SchemaItem),
            Answer(304, "It is still the one in If-None-Match.", media=()),
        ),
        refusals=(404, *_READ_REFUSALS),
    ),
    Route(
        method="PUT",
        path="/v1/schemas/{key+}",
        role=Role.APP,
        handler=config_schemas.put_schema,
        summary="Set a schema",
        description="For a key, or with a slash at its end for all keys below it; a value keeps to the schema of its longest prefix and to its "
        "own. One that cannot be used, or that a value that is there breaks, is refused, each problem listed. It may refer to "
        f"itself, but nothing is fetched. {_COMPARING}",
        answers=(
            Answer(200, "It is another schema now.", config_schemas.SchemaItem),
            Answer(201, "It is there now.", config_schemas.SchemaItem),
        ),
        parameters=(
            Parameter(
                "force",
                _FLAG,
                "Set it though values that are there break it; they stay until they are written.",
            ),
        ),
        body=config_schemas.SchemaBody,
        refusals=_WRITE_REFUSALS,
    ),
    Route(
        method="DELETE",
        path="/v1/schemas/{key+}",
        role=Role.APP,
        handler=config_schemas.delete_schema,
        summary="Take a schema away",
        description="Values are held against it no more.",
        answers=(Answer(204, "It is gone.", media=()),),
        refusals=(404, 412, 501, 503, 507),
    ),
)

ROUTES: tuple[Route, ...] = (*_VALUES, *_PAST, *_SCHEMAS)
