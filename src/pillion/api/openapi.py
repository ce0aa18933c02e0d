"""The OpenAPI 3.1 document of a table of routes: what is served is what is described."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion import __version__
from pillion.api.problems import Problem
from pillion.api.route import JSON, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.api.route import Answer, Route

    Json = dict[str, object]

PROBLEM_JSON = "application/problem+json"
_REFERENCE = "#/components/schemas/{name}"

_WHEN = {
    400: "The request cannot be read: a parameter, the path, or the message itself.",
    401: "On TCP: no token, or a wrong one.",
    403: "Another user's process on the Unix socket, or the app's token where an operator's is needed.",
    404: "There is no such component.",
    409: "Not now: the component's state, or an operation under way, does not allow it.",
    410: "The revision that is asked for has been forgotten.",
    412: "The precondition does not hold; `ETag` says what is there.",
    413: "The body is too large.",
    415: "The body is of another media type than JSON.",
    421: "On TCP: the Host field names another server.",
    422: "The body is JSON, but not of the shape that is wanted, or its values cannot be.",
    500: "It failed; the detail says why.",
    501: "This instance cannot do it.",
    503: "Not ready, or too many streams; the detail says which.",
    504: "The keeper did not answer in time.",
    507: "There is no room for it.",
}
_ROLES = {
    Role.PUBLIC: "Anybody who reaches the listener.",
    Role.APP: "The app: its token, or its user on the Unix socket; and the operator.",
    Role.OPERATOR: "The operator: the instance's user or root on the Unix socket, or the operator's token.",
}


def make_document(routes: Iterable[Route]) -> bytes:
    """The document as JSON."""
    table = tuple(routes)
    models = _models(table)
    references, schemas = msgspec.json.schema_components(
        models, schema_hook=_anything, ref_template=_REFERENCE
    )
    by_model = dict(zip(models, references, strict=True))
    paths: dict[str, Json] = {}
    for route in table:
        paths.setdefault(route.path.replace("+}", "}"), {})[route.method.lower()] = _operation(
            route, by_model
        )
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Pillion",
            "version": __version__,
            "description": "The local API of one instance, on a Unix socket (PILLION_SOCKET) and on loopback TCP "
            "(PILLION_URL, with Authorization: Bearer $PILLION_TOKEN). Every error is a problem document (RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "On TCP. On the Unix socket the kernel tells who is there, and no token is needed.",
                }
            },
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _anything(kind: type) -> Json:
    """`object` is any JSON value; nothing else may do without a schema."""
    assert kind is object, kind
    return {"description": "Any JSON value."}


def _models(table: tuple[Route, ...]) -> list[type]:
    wanted: dict[type, None] = {Problem: None}
    for route in table:
        if route.body is not None:
            wanted[route.body] = None
        for answer in route.answers:
            if answer.model is not None:
                wanted[answer.model] = None
    return list(wanted)


def _operation(route: Route, by_model: dict[type, Json]) -> Json:
    operation: Json = {
        "operationId": route.operation,
        "summary": route.summary,
        "description": f"{route.description}\n\nFor: {_ROLES[route.role]}",
        "security": [] if route.role is Role.PUBLIC else [{"token": []}],
        "x-pillion-role": route.role.name.lower(),
        "responses": _responses(route, by_model),
    }
    parameters = [_path_parameter(name) for name in path_names(route.path)]
    parameters += [
        {
            "name": one.name,
            "in": "query",
            "required": False,
            "description": one.description,
            "schema": one.schema,
        }
        for one in route.parameters
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        required = bool(by_model[route.body]) and _requires(route.body)
        operation["requestBody"] = {
            "required": required,
            "content": {JSON: {"schema": by_model[route.body]}},
        }
    elif route.media:
        content = {media: {"schema": {"type": "string"}} for media in route.media}
        operation["requestBody"] = {"required": False, "content": content}
    return operation


def _path_parameter(name: str) -> Json:
    found: Json = {
        "name": name.removesuffix("+"),
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    }
    if name.endswith("+"):
        found["description"] = "May hold slashes, as they are or as %2F."
    return found


def path_names(path: str) -> list[str]:
    """The names of the segments that a path template leaves open; one that ends with + takes the rest of the path."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def refusals_of(route: Route) -> list[int]:
    """The statuses of problem details that a route may answer, in order."""
    statuses = {400, 421, *route.refusals}
    if route.role is not Role.PUBLIC:
        statuses |= {401, 403}
    else:
        statuses |= {403}
    if route.body is not None or route.media:
        statuses |= {413}
    return sorted(statuses)


def _responses(route: Route, by_model: dict[type, Json]) -> Json:
    responses: Json = {str(one.status): _response(one, by_model) for one in route.answers}
    for status in refusals_of(route):
        responses.setdefault(
            str(status),
            {
                "description": _WHEN[status],
                "content": {PROBLEM_JSON: {"schema": by_model[Problem]}},
            },
        )
    return responses


def _response(answer: Answer, by_model: dict[type, Json]) -> Json:
    content: Json = {}
    for media in answer.media:
        schema = by_model[answer.model] if answer.model is not None and media == JSON else None
        content[media] = {} if schema is None else {"schema": schema}
    return {"description": answer.description, "content": content}


def _requires(model: type) -> bool:
    return any(one.required for one in msgspec.structs.fields(model))
