"""The OpenAPI document against the running API: every route is described, and answers as described."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from keeper_peer import APP_TOKEN, OPERATOR_TOKEN, KeeperPeer
from logs_spooling import Spool
from pillion.api.openapi import path_names, refusals_of
from pillion.api.route import Role
from pillion.api.table import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.api.route import Route

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
BODIES = {
    "/v1/components/{name}/signal": {"signal": "HUP"},
    "/v1/components/{name}/limits": {"memory": 1 << 30, "cpu": None},
    "/v1/services/{name}/instances/{id}": {"address": "10.0.0.7", "port": 5432},
    "/v1/config": {"items": []},
    "/v1/health/checks/{name}": {"ttl": "1h"},
}
# These end or need more than the peer has; their success is tested with the agent's life and reload.
NOT_HERE = {
    "/v1/reload",
    "/v1/upgrade",
    "/v1/secrets/{name+}",
    "/v1/locks/{name}",
    "/v1/elections/{name}",
    "/v1/config/{key+}",
    "/v1/rollback/{key+}",
    "/v1/schemas/{key+}",
    "/v1/ambassador/breakers/{upstream}",
    "/v1/ambassador/breakers/{upstream}/{endpoint+}",
    "/v1/proxies/{name}",
    "/v1/proxies/{name}/history",
    "/v1/proxies/{name}/history/{version}",
    "/v1/proxies/{name}/render",
    "/v1/proxies/{name}/apply",
    "/v1/proxies/{name}/rollback",
}

each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperPeer]:
    """One agent for all of these."""
    with KeeperPeer(tmp_path_factory.mktemp("openapi")) as peer:
        spool = Spool(str(peer.state_dir), stream="events")
        spool.write(b'{"time": "t0", "kind": "started", "component": "app", "data": {"n": [1]}}\n')
        Spool(str(peer.state_dir), stream="stdout").write(b"one line\n")
        peer.start()
        yield peer


@pytest.fixture(scope="module")
def described(served: KeeperPeer) -> dict[str, Any]:
    with served.unix() as client, client.request("GET", "/v1/openapi.json") as answer:
        document: dict[str, Any] = json.loads(answer.read())
    return document


def filled(path: str) -> str:
    """A path of this template."""
    return re.sub(r"\{[^}]+\}", "app", path)


def call(
    served: KeeperPeer, route: Route, token: str | None, body: object = None, path: str = ""
) -> tuple[int, str, bytes]:
    fields = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        fields.append((b"content-type", b"application/json"))
    with (
        served.tcp() as client,
        client.request(route.method, path or filled(route.path), fields, data) as answer,
    ):
        media = (answer.headers.get(b"content-type") or b"").decode()
        return answer.status, media, answer.read()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """A validator of a schema that refers into the document."""
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_openapi_3_1(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    assert described["info"]["title"] == "Pillion"
    identities = [
        operation["operationId"]
        for path in described["paths"].values()
        for operation in path.values()
    ]
    assert len(identities) == len(set(identities)) == len(ROUTES)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    references = re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(described))
    assert references
    assert {name for name in references if name not in schemas} == set()
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@each_route
def test_a_route_is_described_in_full(described: dict[str, Any], route: Route) -> None:
    operation = described["paths"][route.path.replace("+}", "}")][route.method.lower()]
    assert operation["summary"]
    assert operation["x-pillion-role"] == route.role.name.lower()
    assert operation["security"] == ([] if route.role is Role.PUBLIC else [{"token": []}])
    names = {one["name"] for one in operation.get("parameters", [])}
    assert names == {
        *(one.removesuffix("+") for one in path_names(route.path)),
        *(one.name for one in route.parameters),
    }
    assert ("requestBody" in operation) == (route.body is not None or route.media != ())
    statuses = {str(one.status) for one in route.answers} | {str(s) for s in refusals_of(route)}
    assert set(operation["responses"]) == statuses


@each_route
def test_a_route_is_in_the_documentation(route: Route) -> None:
    text = DOCS.read_text()
    assert f"`{route.method} {route.path}`" in text
    for parameter in route.parameters:
        assert f"`{parameter.name}`" in text


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.path not in NOT_HERE], ids=lambda r: f"{r.method} {r.path}"
)
def test_a_route_answers_as_described(
    served: KeeperPeer, described: dict[str, Any], route: Route
) -> None:
    body = BODIES.get(route.path, {} if route.body is not None else None)
    status, media, data = call(served, route, OPERATOR_TOKEN, body)
    operation = described["paths"][route.path.replace("+}", "}")][route.method.lower()]
    content = operation["responses"][str(status)]["content"]
    assert status in {one.status for one in route.answers}
    assert media in content or (not content and not data)
    if not data:
        return
    schema = content[media].get("schema")
    if schema is not None:
        resolved(described, schema).validate(json.loads(data))


@each_route
def test_a_route_is_for_whom_it_says(served: KeeperPeer, route: Route) -> None:
    if route.role is Role.PUBLIC:
        assert call(served, route, None)[0] == 200
        return
    assert call(served, route, None)[0] == 401
    if route.role is Role.OPERATOR:
        assert call(served, route, APP_TOKEN)[0] == 403


@each_route
def test_every_refusal_is_a_problem_as_described(
    served: KeeperPeer, described: dict[str, Any], route: Route
) -> None:
    path = filled(route.path) + "?no-such-parameter=1"
    status, media, data = call(served, route, OPERATOR_TOKEN, path=path)
    assert (status, media) == (400, "application/problem+json")
    operation = described["paths"][route.path.replace("+}", "}")][route.method.lower()]
    schema = operation["responses"]["400"]["content"][media]["schema"]
    resolved(described, schema).validate(json.loads(data))


@pytest.mark.parametrize("route", [r for r in ROUTES if r.body is not None], ids=lambda r: r.path)
def test_a_body_of_another_shape_is_refused(served: KeeperPeer, route: Route) -> None:
    status, media, _ = call(served, route, OPERATOR_TOKEN, {"no-such-member": 1})
    assert (status, media) == (422, "application/problem+json")
