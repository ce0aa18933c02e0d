"""Configuration over the real API: layers, compare-and-set, history, schemas, and what is refused."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config_http import ask, get, put
from instance import wait_for

if TYPE_CHECKING:
    from instance import Instance

Pair = tuple["Instance", "Instance"]


def test_layers_and_who_wins(pair: Pair) -> None:
    one, two = pair
    for number, layer in enumerate(("default", "environment", "service")):
        assert put(one, "shop/price", number, f"?layer={layer}").status == 201
    assert put(two, "shop/price", 9, "?layer=instance").status == 201
    ours, theirs = get(one, "shop/price").body, get(two, "shop/price", "?consistent").body
    assert (ours["value"], ours["layer"]) == (2, "service")
    assert (theirs["value"], theirs["layer"]) == (9, "instance")
    assert get(one, "shop/price", "?layer=default").body["value"] == 0
    assert get(one, "shop/price", "?layer=instance").status == 404
    listed = ask(two, "GET", "/v1/config?prefix=shop/&consistent").body
    assert [item["layer"] for item in listed["items"]] == ["instance"]
    deleted = ask(two, "DELETE", "/v1/config/shop/price?layer=instance")
    assert (deleted.status, deleted.body) == (204, None)
    assert get(two, "shop/price").body["layer"] == "service"
    assert ask(two, "DELETE", "/v1/config/shop/price?layer=instance").status == 404


def test_compare_and_set(pair: Pair) -> None:
    one, two = pair
    created = put(one, "k", 1, if_none_match="*")
    assert created.status == 201
    refused = put(two, "k", 2, if_none_match="*")
    assert (refused.status, refused.etag) == (412, created.etag)
    changed = put(two, "k", 2, if_match=created.etag)
    assert changed.status == 200
    stale = put(one, "k", 3, if_match=created.etag)
    assert (stale.status, stale.etag) == (412, changed.etag)
    assert get(one, "k").body["value"] == 2
    assert ask(one, "DELETE", "/v1/config/k", if_match=created.etag).status == 412
    assert ask(one, "DELETE", "/v1/config/k", if_match=changed.etag).status == 204
    gone = put(one, "k", 4, if_match=changed.etag)
    assert gone.status == 412
    assert "etag" not in gone.headers


def test_what_was_read_from_a_weaker_layer_can_be_overridden_once(pair: Pair) -> None:
    one, two = pair
    base = put(one, "k", 1, "?layer=default")
    assert get(two, "k", "?consistent").etag == base.etag
    first = put(two, "k", 2, if_match=base.etag)
    assert first.status == 201
    second = put(one, "k", 3, if_match=base.etag)
    assert (second.status, second.etag) == (412, first.etag)


def test_a_read_is_conditional(pair: Pair) -> None:
    one, _ = pair
    etag = put(one, "k", {"a": [1, 2.50]}).etag
    for query in ("", "?layer=service"):
        known = get(one, "k", query, if_none_match=etag)
        assert (known.status, known.etag, known.body) == (304, etag, None)
        assert get(one, "k", query, if_none_match='W/"x", "service:0"').status == 200
    head = ask(one, "HEAD", "/v1/config/k")
    assert (head.status, head.etag, head.body) == (200, etag, None)


def test_values_of_every_kind_come_back_as_they_were(pair: Pair) -> None:
    one, two = pair
    values: list[object] = [None, True, 0, -1.5, 'ü\n"', [], {"a": {"b": [None]}}, "x" * 500_000]
    for number, value in enumerate(values):
        assert put(one, f"v/{number}", value).status == 201
    listed = ask(two, "GET", "/v1/config?prefix=v/&consistent").body["items"]
    assert [item["value"] for item in listed] == values


def test_what_cannot_be_is_refused_and_says_why(pair: Pair) -> None:
    one, _ = pair
    assert put(one, "a//b", 1).status == 400
    assert put(one, "a%00b", 1).status == 400
    assert put(one, "a/", 1).status == 400
    assert put(one, "k", 1, "?layer=galaxy").status == 400
    assert put(one, "k", 1, if_match="17").status == 400
    assert put(one, "k", "x" * 600_000).status == 413
    assert put(one, "k", "x" * 1_100_000).status == 413
    assert ask(one, "PUT", "/v1/config/k", {}).status == 422
    assert ask(one, "PUT", "/v1/config/k", {"value": 1, "other": 2}).status == 422
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    assert put(one, "k", deep).status == 422
    assert get(one, "k", "?wait=1h").status == 400
    assert get(one, "k", "?revision=x").status == 400
    assert get(one, "k").status == 404
    assert ask(one, "GET", "/v1/config?prefix=%0A").status == 400


def test_history_difference_and_rollback(pair: Pair) -> None:
    one, two = pair
    first = put(one, "shop/price", 1)
    put(two, "shop/price", 2)
    put(one, "shop/tax", 0.2, "?layer=default")
    ask(one, "DELETE", "/v1/config/shop/price")
    items = ask(one, "GET", "/v1/history/shop/price").body["items"]
    assert [item.get("value") for item in items] == [None, 2, 1]
    assert items[0]["deleted"] is True
    assert items[1]["writer"].startswith("two operator pid=")
    assert items[2]["time"].endswith("Z")
    page = ask(one, "GET", f"/v1/history/shop/price?limit=1&before={items[1]['revision']}")
    assert [item["value"] for item in page.body["items"]] == [1]
    found = ask(one, "GET", f"/v1/diff/shop/?from={first.revision}").body["items"]
    assert [(one_["key"], one_["from"] and one_["from"]["value"]) for one_ in found] == [
        ("shop/price", 1),
        ("shop/tax", None),
    ]
    layers = ask(one, "GET", "/v1/diff?prefix=shop/&from=service&to=default").body["items"]
    assert [one_["key"] for one_ in layers] == ["shop/tax"]
    back = ask(one, "POST", "/v1/rollback/shop/price", {"revision": first.revision})
    assert (back.status, back.body["value"]) == (200, 1)
    assert back.body["revision"] > items[0]["revision"]
    gone = ask(one, "POST", "/v1/rollback/shop/price", {"revision": items[0]["revision"]})
    assert (gone.status, "value" in gone.body) == (200, False)
    assert get(one, "shop/price").status == 404
    assert ask(one, "POST", "/v1/rollback/shop/price", {"revision": 10**6}).status == 400
    old = ask(one, "POST", "/v1/rollback/shop/price", {"revision": 1}, if_match='"service:1"')
    assert old.status == 412


def test_a_schema_refuses_before_a_value_is_published(pair: Pair) -> None:
    one, two = pair
    put(one, "shop/price", 1)
    schema = {"type": "number", "minimum": 0}
    made = ask(one, "PUT", "/v1/schemas/shop/", {"schema": schema})
    assert made.status == 201
    assert ask(one, "GET", "/v1/schemas/shop/").body["schema"] == schema
    refused = put(two, "shop/price", "free")
    assert refused.status == 422
    assert len(refused.body["problems"]) == 1
    assert get(two, "shop/price").body["value"] == 1
    broken = ask(one, "PUT", "/v1/schemas/shop/price", {"schema": {"maximum": 0}})
    assert broken.status == 422
    assert "service/shop/shop/price" in broken.body["problems"][0]
    assert ask(one, "PUT", "/v1/schemas/x", {"schema": {"type": "nothing"}}).status == 422
    forced = ask(one, "PUT", "/v1/schemas/shop/price?force", {"schema": {"maximum": 0}})
    assert forced.status == 201
    assert put(one, "shop/price", -1).status == 422
    assert put(one, "shop/price", 0).status == 200
    assert ask(one, "DELETE", "/v1/schemas/shop/").status == 204
    assert put(one, "shop/other", "anything").status == 201
    kept = [item["key"] for item in ask(one, "GET", "/v1/schemas").body["items"]]
    assert kept == ["shop/price"]


def test_many_at_once_each_for_itself(pair: Pair) -> None:
    one, _ = pair
    put(one, "there", 1)
    ask(one, "PUT", "/v1/schemas/n", {"schema": {"type": "number"}})
    items = [
        {"key": "a", "value": 1},
        {"key": "a//", "value": 1},
        {"key": "n", "value": "x"},
        {"key": "there", "value": 2, "revision": 0},
        {"key": "b", "value": None, "layer": "default", "revision": 0},
    ]
    answer = ask(one, "POST", "/v1/config", {"items": items})
    assert (answer.status, answer.body["failed"]) == (207, 3)
    assert [item["status"] for item in answer.body["items"]] == [201, 400, 422, 412, 201]
    assert ask(one, "POST", "/v1/config", {"items": items[:1]}).status == 200


def test_the_journal_says_who_wrote_what_but_no_value(pair: Pair) -> None:
    one, _ = pair
    put(one, "shop/password", "planted-secret")
    ask(one, "PUT", "/v1/schemas/shop/password", {"schema": {"type": "string"}})
    put(one, "shop/password", ["planted-secret"])
    wait_for("it is told", lambda: "config-refused" in one.kinds())
    events = [event for event in one.events() if event["kind"].startswith("config-")]
    assert [event["kind"] for event in events] == [
        "config-changed",
        "config-changed",
        "config-refused",
    ]
    first = events[0]["data"]
    assert (first["key"], first["layer"], first["action"]) == ("shop/password", "service", "put")
    assert first["writer"].startswith("one operator pid=")
    assert isinstance(first["revision"], int)
    assert "planted" not in json.dumps(events)


def test_the_app_writes_over_tcp_with_its_token(pair: Pair) -> None:
    one, _ = pair
    with open(f"{one.runtime}/instance.json") as file:
        url = urlsplit(json.load(file)["url"])
    with open(f"{one.runtime}/token") as file:
        token = file.read().strip()
    connection = http.client.HTTPConnection(str(url.hostname), url.port or 0, timeout=10)
    try:
        fields = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        connection.request("PUT", "/v1/config/k", b'{"value": 1}', fields)
        assert connection.getresponse().read() == (
            b'{"key":"k","value":1,"revision":1,"layer":"service"}'
        )
        connection.request(
            "PUT", "/v1/config/k", b'{"value": 1}', {**fields, "content-type": "text/plain"}
        )
        assert connection.getresponse().status == 415
    finally:
        connection.close()
    assert ask(one, "GET", "/v1/history/k").body["items"][0]["writer"] == "one app"
