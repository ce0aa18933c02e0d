"""A real agent over real sockets: what each route answers, with the keeper's side of the wire in the test."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from keeper_peer import APP_TOKEN, OPERATOR_TOKEN, RUN, KeeperPeer, Refuse, component
from logs_spooling import Spool

if TYPE_CHECKING:
    from pillion.http.blocking import BlockingClient, BlockingResponse

JSON = [(b"content-type", b"application/json")]


def ask(
    client: BlockingClient, method: str, path: str, body: object = None
) -> tuple[int, dict[str, Any], BlockingResponse]:
    data = None if body is None else json.dumps(body).encode()
    with client.request(method, path, [] if data is None else JSON, data) as answer:
        text = answer.read()
    return answer.status, json.loads(text) if text else {}, answer


def test_alive_and_ready(keeper: KeeperPeer) -> None:
    child = keeper.start()
    child.wait_for("call", lambda m: m["method"] == "status")
    with keeper.unix() as client:
        assert ask(client, "GET", "/livez")[:2] == (200, {"alive": True})
        keeper.components = [component("app", ready=False)]
        child.send({"op": "state", "state": keeper.status})
        # The keeper's word travels on another socket than ours: a call behind it proves that it arrived.
        ask(client, "GET", "/v1/components")
        status, body, answer = ask(client, "GET", "/readyz")
        assert status == 503
        assert answer.headers.get(b"content-type") == b"application/problem+json"
        assert body["problems"] == ["the app runs, but is not ready yet"]
        keeper.components = [component("app")]
        child.send({"op": "state", "state": keeper.status})
        ask(client, "GET", "/v1/components")
        assert ask(client, "GET", "/readyz")[0] == 200


def test_components_with_their_instance(keeper: KeeperPeer) -> None:
    last_exit = {"signal": "KILL", "cause": "out of memory: 512M"}
    keeper.components = [component("app", last_exit=last_exit, restarts=3)]
    keeper.start()
    with keeper.unix() as client:
        status, body, _ = ask(client, "GET", "/v1/components")
    assert status == 200
    assert (body["instance"], body["run"]) == ("shop", RUN)
    (app,) = body["items"]
    assert app["last_exit"] == last_exit
    assert app["restarts"] == 3
    assert app["limits"] == {"memory": 536870912}


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_an_action_reaches_the_keeper(keeper: KeeperPeer, action: str) -> None:
    child = keeper.start()
    with keeper.unix() as client:
        status, body, _ = ask(client, "POST", f"/v1/components/app/{action}")
    assert (status, body["name"]) == (200, "app")
    assert child.calls(action) == [{"name": "app"}]


def test_a_signal_by_name(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with keeper.unix() as client:
        path = "/v1/components/app/signal"
        assert ask(client, "POST", path, {"signal": "SIGHUP"})[0] == 200
        status, body, _ = ask(client, "POST", path, {"signal": "NONSENSE"})
        assert (status, body["status"]) == (422, 422)
        assert "there is no such signal" in body["detail"]
    assert child.calls("signal") == [{"name": "app", "signal": "HUP"}]


def test_limits_change_only_what_is_named(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with keeper.unix() as client:
        path = "/v1/components/app/limits"
        status, body, _ = ask(client, "PATCH", path, {"memory": None, "cpu": 1.5})
        assert (status, body["limits"]) == (200, {"cpu": 1.5})
        assert ask(client, "PATCH", path, {})[0] == 422
        assert ask(client, "PATCH", path, {"memory": 5})[0] == 422
        status, body, _ = ask(client, "PATCH", path, {"memroy": 1 << 30})
        assert status == 422
        assert "memroy" in body["detail"]
    assert child.calls("limits") == [{"name": "app", "limits": {"memory": None, "cpu": 1.5}}]


def test_the_keepers_refusal_is_passed_on(keeper: KeeperPeer) -> None:
    keeper.start()

    def busy(_: object) -> object:
        raise Refuse(409, "Already running", "cannot start app: it runs as pid 4711")

    keeper.methods["start"] = busy
    with keeper.unix() as client:
        status, body, answer = ask(client, "POST", "/v1/components/app/start")
        assert (status, body["title"]) == (409, "Already running")
        assert body["detail"] == "cannot start app: it runs as pid 4711"
        assert (body["type"], body["instance"]) == ("about:blank", "/v1/components/app/start")
        assert ask(client, "GET", "/nowhere")[1]["instance"] == "/nowhere"
        assert answer.headers.get(b"content-type") == b"application/problem+json"
        assert ask(client, "POST", "/v1/components/nobody/stop")[0] == 404


def test_a_silent_keeper_is_a_504_and_no_hang(keeper: KeeperPeer) -> None:
    keeper.start()
    keeper.methods["status"] = lambda _: None
    with keeper.unix() as client:
        status, body, _ = ask(client, "GET", "/v1/components")
        assert status == 504
        assert "did not answer within 2 s" in body["detail"]
        assert ask(client, "GET", "/livez")[0] == 200


def test_metrics_of_every_process(keeper: KeeperPeer) -> None:
    stats = {"shipped_records_total": 12, "sink_errors_total": {"sink": {'a"b': 1}}, "Bad Name": 1}
    keeper.components = [
        component("app"),
        component("agent"),
        component("shipper", stats=stats, state="backoff", pid=None),
    ]
    keeper.start()
    with keeper.unix() as client, client.request("GET", "/metrics") as answer:
        page = answer.read().decode()
    assert answer.headers.get(b"content-type") == b"text/plain; version=0.0.4; charset=utf-8"
    lines = page.splitlines()
    assert 'pillion_component_up{component="app"} 1' in lines
    assert 'pillion_component_up{component="shipper"} 0' in lines
    assert 'pillion_component_state{component="shipper",state="backoff"} 1' in lines
    assert 'pillion_component_memory_bytes{component="app"} 1234' in lines
    assert 'pillion_shipped_records_total{component="shipper"} 12' in lines
    assert 'pillion_sink_errors_total{component="shipper",sink="a\\"b"} 1' in lines
    assert "pillion_metrics_dropped_total 1" in lines
    assert any(line.startswith('pillion_loop_lag_seconds{component="agent"}') for line in lines)
    sample = re.compile(
        r'[a-z_][a-z0-9_]*(\{[a-z_]+="(\\.|[^"\\])*"(,[a-z_]+="(\\.|[^"\\])*")*\})? [-0-9.e+]+'
    )
    assert [line for line in lines if not line.startswith("#") and not sample.fullmatch(line)] == []


def test_unknown_paths_and_methods(keeper: KeeperPeer) -> None:
    keeper.start()
    with keeper.unix() as client:
        assert ask(client, "GET", "/v2/components")[0] == 404
        assert ask(client, "GET", "/v1/components/")[0] == 404
        status, body, answer = ask(client, "DELETE", "/v1/components")
        assert (status, answer.headers.get(b"allow")) == (405, b"GET, HEAD")
        assert body["detail"] == "cannot DELETE /v1/components: it takes GET, HEAD"
        with client.request("HEAD", "/livez") as head:
            assert (head.status, head.read()) == (200, b"")


def test_parameters_and_bodies_are_read_strictly(keeper: KeeperPeer) -> None:
    keeper.start()
    with keeper.unix() as client:
        status, body, _ = ask(client, "GET", "/v1/events?folow=true")
        assert status == 400
        assert "folow" in body["detail"]
        assert ask(client, "GET", "/v1/events?limit=0")[0] == 400
        assert ask(client, "GET", "/v1/events?since=yesterday")[0] == 400
        assert ask(client, "GET", "/v1/logs?level=loud")[0] == 400
        assert ask(client, "GET", "/v1/logs?grep=(")[0] == 400
        path = "/v1/components/app/signal"
        with client.request("POST", path, [], b'{"signal": "HUP"}') as answer:
            assert (answer.status, answer.read()[:1]) == (415, b"{")
        with client.request("POST", path, JSON, b"{") as answer:
            assert (answer.status, answer.read()[:1]) == (400, b"{")
        assert ask(client, "POST", path, {"signal": "HUP", "more": 1})[0] == 422


def test_the_journal(keeper: KeeperPeer) -> None:
    spool = Spool(str(keeper.state_dir), RUN, "events")
    for number in range(5):
        kind = "exited" if number % 2 else "started"
        event = {"time": f"2026-01-01T00:00:0{number}Z", "kind": kind, "component": "app"}
        spool.write(json.dumps(event).encode() + b"\n")
    keeper.start()
    with keeper.unix() as client:
        _, body, _ = ask(client, "GET", "/v1/events")
        assert [one["kind"] for one in body["items"]] == ["started", "exited"] * 2 + ["started"]
        _, body, _ = ask(client, "GET", "/v1/events?kind=exited&limit=1")
        assert [one["time"] for one in body["items"]] == ["2026-01-01T00:00:03Z"]
        assert ask(client, "GET", "/v1/events?component=shipper")[1] == {"items": []}


@pytest.mark.parametrize("media", ["application/x-ndjson", "text/event-stream"])
def test_the_journal_goes_on(keeper: KeeperPeer, media: str) -> None:
    spool = Spool(str(keeper.state_dir), RUN, "events")
    spool.write(b'{"time": "t0", "kind": "started", "component": "app"}\n')
    keeper.start()
    with keeper.unix() as client:
        accept = [(b"accept", media.encode())]
        with client.request("GET", "/v1/events?follow", accept) as answer:
            assert answer.headers.get(b"content-type") == media.encode()
            pieces = iter(answer)
            seen = next(pieces)
            assert b'"time":"t0"' in seen
            spool.write(b'{"time": "t1", "kind": "exited", "component": "app"}\n')
            while b'"time":"t1"' not in seen:
                seen += next(pieces)
            assert seen.count(b'"time":"t0"') == 1
            if media == "text/event-stream":
                assert b"\nevent: exited\ndata: {" in seen


def test_a_lost_part_of_the_journal_is_an_entry(keeper: KeeperPeer) -> None:
    spool = Spool(str(keeper.state_dir), RUN, "events")
    spool.write(b'{"time": "t0", "kind": "started", "component": "app"}\n')
    spool.drop(100)
    spool.write(b'torn"}\n{"time": "t2", "kind": "exited", "component": "app"}\n')
    keeper.start()
    with keeper.unix() as client:
        _, body, _ = ask(client, "GET", "/v1/events")
    assert [one["kind"] for one in body["items"]] == ["started", "output-lost", "exited"]
    assert body["items"][1]["data"]["bytes"] == 100


def test_the_apps_records(keeper: KeeperPeer) -> None:
    spool = Spool(str(keeper.state_dir), RUN, "stdout")
    spool.write(b"INFO begin\nERROR broken\nplain\n")
    keeper.start()
    with keeper.unix() as client:
        _, body, _ = ask(client, "GET", "/v1/logs")
        assert [one["body"] for one in body["items"]] == ["INFO begin", "ERROR broken", "plain"]
        _, body, _ = ask(client, "GET", "/v1/logs?level=error")
        assert [one["body"] for one in body["items"]] == ["ERROR broken"]
        _, body, _ = ask(client, "GET", "/v1/logs?grep=pl.in&stream=stdout")
        assert [one["body"] for one in body["items"]] == ["plain"]
        with client.request("GET", "/v1/logs?follow&limit=1") as answer:
            pieces = iter(answer)
            assert b'"body":"plain"' in next(pieces)
            spool.write(b"more\n")
            assert b'"body":"more"' in next(pieces)


def test_more_streams_than_may_be_are_refused(keeper: KeeperPeer) -> None:
    from pillion.api.streams import STREAMS

    keeper.start()
    clients = [keeper.unix() for _ in range(STREAMS)]
    try:
        for client in clients:
            assert client.request("GET", "/v1/logs?follow").status == 200
        with keeper.unix() as client:
            status, body, answer = ask(client, "GET", "/v1/logs?follow")
            assert (status, answer.headers.get(b"retry-after")) == (503, b"5")
            assert "64 are open" in body["detail"]
    finally:
        for client in clients:
            client.close()


def test_shutdown_is_answered(keeper: KeeperPeer) -> None:
    child = keeper.start()
    with keeper.unix() as client:
        assert ask(client, "POST", "/v1/shutdown")[:2] == (202, {"state": "stopping"})
    assert child.calls("shutdown") == [{}]


def test_tokens_on_tcp(keeper: KeeperPeer) -> None:
    keeper.start()
    with keeper.tcp() as client:
        for token, path, expected in [
            (APP_TOKEN, "/v1/components", 200),
            (OPERATOR_TOKEN, "/v1/components", 200),
            (OPERATOR_TOKEN, "/metrics", 200),
        ]:
            fields = [(b"authorization", f"Bearer {token}".encode())]
            with client.request("GET", path, fields) as answer:
                answer.read()
                assert answer.status == expected
        fields = [(b"authorization", f"bearer {OPERATOR_TOKEN}".encode())]
        with client.request("POST", "/v1/components/app/restart", fields) as answer:
            assert (answer.status, json.loads(answer.read())["name"]) == (200, "app")
