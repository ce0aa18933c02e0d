"""Posted records under a real keeper: kept, read and shipped like printed ones, whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from held import hold
from instance import wait_for
from otlp_receiver import Receiver
from pillion.http.blocking import BlockingClient

if TYPE_CHECKING:
    from pathlib import Path

    from instance import Host, Instance

TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
NDJSON = [(b"content-type", b"application/x-ndjson")]


def post(
    instance: Instance, body: bytes, fields: list[tuple[bytes, bytes]] | None = None
) -> tuple[int, dict[str, Any]]:
    with BlockingClient.unix(os.path.join(instance.runtime, "api.sock"), 20.0) as client:
        with client.request("POST", "/v1/logs", TEXT if fields is None else fields, body) as answer:
            data: dict[str, Any] = json.loads(answer.read())
        return answer.status, data


@pytest.fixture
def shop(host: Host) -> Instance:
    instance = host.run("sleep", "1000", name="shop")
    instance.wait_state("agent")
    instance.wait_state("app")
    return instance


def spooled(instance: Instance) -> list[bytes]:
    return instance.spooled("api").splitlines()


def test_records_come_out_where_printed_ones_do(host: Host, shop: Instance) -> None:
    assert post(shop, b"WARN printer on fire\nplain\n") == (202, {"records": 2})
    line = b'{"level": "error", "msg": "gone", "n": 1}'
    assert post(shop, line, NDJSON) == (202, {"records": 1})
    wait_for("three records", lambda: len(spooled(shop)) == 3)
    records = [json.loads(r) for r in host.pillion("logs", "--json").stdout.splitlines()]
    assert [(r["stream"], r["offset"], r["level"], r["body"]) for r in records] == [
        ("api", 0, "warn", "WARN printer on fire"),
        ("api", 21, None, "plain"),
        ("api", 27, "error", "gone"),
    ]
    answer = json.loads(shop_get(shop, "/v1/logs?stream=api&level=error"))
    assert [r["body"] for r in answer["items"]] == ["gone"]


def shop_get(instance: Instance, path: str) -> bytes:
    with (
        BlockingClient.unix(os.path.join(instance.runtime, "api.sock"), 20.0) as client,
        client.request("GET", path) as answer,
    ):
        return answer.read()


def test_a_wrong_line_leaves_no_trace(shop: Instance) -> None:
    status, problem = post(shop, b'{"ok": 1}\nnot json\n', NDJSON)
    assert (status, problem["status"]) == (422, 422)
    assert "line 2" in problem["detail"]
    assert post(shop, b"x" * (1 << 16))[0] == 413
    assert post(shop, b"y" * ((1 << 20) + 1))[0] == 413
    assert post(shop, b"{}", [(b"content-type", b"application/json")])[0] == 415
    assert post(shop, b"{}", [])[0] == 415
    assert post(shop, b"good\n") == (202, {"records": 1})
    wait_for("the good line", lambda: spooled(shop))
    assert spooled(shop) == [b"good"]


def test_the_largest_body_goes_through(shop: Instance) -> None:
    lines = [b"%06d " % n + b"x" * 9_000 for n in range(116)]
    assert post(shop, b"\n".join(lines)) == (202, {"records": 116})
    wait_for("all of it", lambda: len(spooled(shop)) == 116)
    assert spooled(shop) == lines


def test_many_at_once_while_the_scribe_is_killed(shop: Instance) -> None:
    """What was answered with 202 is there once, whole."""
    scribe = pid_of(shop, "pillion-scribe")
    wide = [f"{n:05d} {'y' * (n % 7000)}".encode() for n in range(2000)]
    batches = [wide[at : at + 20] for at in range(0, 2000, 20)]

    def send(number: int) -> int:
        if number == 50:
            os.kill(scribe, signal.SIGKILL)
        return post(shop, b"\n".join(batches[number]))[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(send, range(len(batches)))) == [202] * len(batches)
    wait_for("every line", lambda: len(spooled(shop)) >= len(wide))
    assert sorted(spooled(shop)) == wide


def test_an_upgrade_tears_no_line(host: Host, shop: Instance) -> None:
    lines = [f"{n:05d} {'z' * (20_000 + n)}".encode() for n in range(200)]

    def send(line: bytes) -> int:
        return post(shop, line)[0]

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(send, line) for line in lines]
        host.pillion("upgrade", timeout=60)
        assert {answer.result() for answer in answers} == {202}
    wait_for("every line", lambda: len(spooled(shop)) >= len(lines))
    assert sorted(spooled(shop)) == lines


def test_a_killed_agent_loses_nothing_that_it_answered(shop: Instance) -> None:
    agent = shop.component("agent")["pid"]
    taken = []
    for number in range(40):
        if number == 20:
            os.kill(agent, signal.SIGKILL)
        line = f"{number:03d}".encode()
        try:
            if post(shop, line)[0] == 202:
                taken.append(line)
        except OSError:
            continue  # it died with our connection in its hands
    assert len(taken) >= 38
    wait_for("what was taken", lambda: set(taken) <= set(spooled(shop)))
    assert post(shop, b"after")[0] == 202


def test_a_scribe_that_hangs_costs_the_agent_no_turn(shop: Instance) -> None:
    scribe = pid_of(shop, "pillion-scribe")
    hold(scribe)
    try:
        body = b"\n".join([b"w" * 60_000] * 17)
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(post, shop, body) for _ in range(4)]
            # Answered while the others wait: the loop turns.
            assert b"alive" in shop_get(shop, "/livez")
            refused = [answer.result() for answer in answers if answer.result()[0] != 202]
        assert {status for status, _ in refused} == {503}
        assert all("cannot take more than" in problem["detail"] for _, problem in refused)
    finally:
        os.kill(scribe, signal.SIGCONT)

    def taken() -> bool:
        return post(shop, b"again")[0] == 202

    wait_for("there is room again", taken)


def test_a_keeper_upgrade_keeps_the_stream(host: Host, shop: Instance) -> None:
    assert post(shop, b"before")[0] == 202
    host.pillion("upgrade", "--keeper", timeout=60)
    assert post(shop, b"after")[0] == 202
    wait_for("both", lambda: spooled(shop) == [b"before", b"after"])


def pid_of(instance: Instance, comm: str) -> int:
    for pid in descendants(instance.process.pid):
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == comm:
                return pid
    raise AssertionError(f"no {comm}")


def descendants(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def test_records_are_shipped_like_printed_ones(host: Host, tmp_path: Path) -> None:
    with Receiver(str(tmp_path / "received.ndjson")) as receiver:
        settings = f'[telemetry]\notlp = "{receiver.url}"\nbatch = {{ wait = "50ms" }}\n'
        shop = host.run("sh", "-c", "echo printed; sleep 1000", name="shop", settings=settings)
        shop.wait_state("agent")
        assert post(shop, b"ERROR posted\n") == (202, {"records": 1})

        def received() -> dict[str, dict[str, Any]]:
            return {one["stream"]: one for one in receiver.records()}

        wait_for("both", lambda: {"stdout", "api"} <= set(received()))
        found = received()["api"]
        assert (found["body"], found["severity"], found["offset"]) == ("ERROR posted", 17, 0)
        assert (found["scope"], found["attributes"]) == ("pillion.app", {})
