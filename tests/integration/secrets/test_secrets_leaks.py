"""Secrets planted by all four sources are given to who may have them, and are found nowhere else."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets as randomness
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import pytest

from instance import Host, Instance, wait_for
from pillion.http.blocking import BlockingClient
from pillion.keeper.tree import marked_pids

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = """
import json, os, signal, sys, time
print(json.dumps({k: v for k, v in os.environ.items() if k in ("PILLION_URL", "PILLION_TOKEN")}), flush=True)
print("planted as it was:", "PLANTED_PASSWORD" in os.environ, file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


class Collector:
    """Takes whatever telemetry is sent, and keeps its bytes as they were before compression."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.batches.append(str(self.headers).encode() + body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


class Planted:
    """Values that occur nowhere by chance, each in its place."""

    def __init__(self, root: str) -> None:
        self.values = {
            name: f"planted-{randomness.token_hex(12)}"
            for name in ("file", "env", "credential", "mount/password", "admin")
        }
        self.binary = b"\x00\xff" + randomness.token_bytes(16)
        self.root = f"{root}/planted"
        os.makedirs(f"{self.root}/mount/..1")
        os.makedirs(f"{self.root}/credentials")
        for path, name in (("file", "file"), ("credentials/db", "credential"), ("admin", "admin")):
            with open(f"{self.root}/{path}", "w") as file:
                file.write(self.values[name])
        with open(f"{self.root}/binary", "wb") as binary:
            binary.write(self.binary)
        os.symlink("..1", f"{self.root}/mount/..data")
        os.symlink("..data/password", f"{self.root}/mount/password")
        self.write_mount(self.values["mount/password"])

    def write_mount(self, value: str) -> None:
        version = f"..{randomness.token_hex(4)}"
        os.mkdir(f"{self.root}/mount/{version}")
        with open(f"{self.root}/mount/{version}/password", "w") as file:
            file.write(value)
        os.symlink(version, f"{self.root}/mount/..tmp")
        os.replace(f"{self.root}/mount/..tmp", f"{self.root}/mount/..data")
        self.values["mount/password"] = value

    def settings(self, collector: Collector) -> str:
        return f"""
[telemetry]
otlp = "{collector.url}"
batch = {{ wait = "50ms" }}

[secrets]
file = {{ file = "{self.root}/file" }}
env = {{ env = "PLANTED_PASSWORD" }}
credential = {{ credential = "db" }}
mount = {{ directory = "{self.root}/mount" }}
binary = {{ file = "{self.root}/binary" }}
admin = {{ file = "{self.root}/admin", access = "operator" }}
missing = {{ file = "{self.root}/missing" }}
"""

    def environment(self) -> dict[str, str]:
        return {
            "PLANTED_PASSWORD": self.values["env"],
            "CREDENTIALS_DIRECTORY": f"{self.root}/credentials",
        }

    def needles(self) -> list[bytes]:
        """Every value, and its encodings."""
        found = [self.binary]
        for value in self.values.values():
            raw = value.encode()
            found += [raw, base64.b64encode(raw), raw.hex().encode()]
        return found


@pytest.fixture
def planted(host: Host) -> Planted:
    return Planted(host.root)


def start(host: Host, planted: Planted, collector: Collector) -> Instance:
    instance = host.run(
        sys.executable,
        "-u",
        "-c",
        APP,
        settings=planted.settings(collector),
        env=planted.environment(),
    )
    instance.wait_state("agent")
    instance.wait_state("shipper")
    instance.wait_state("app")
    return instance


def ask(
    client: BlockingClient,
    path: str,
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    body: bytes | None = None,
) -> tuple[int, bytes]:
    with client.request(method, path, fields, body) as answer:
        return answer.status, answer.read()


def value_of(client: BlockingClient, name: str) -> str:
    status, body = ask(client, f"/v1/secrets/{name}")
    assert status == 200, body
    value: str = json.loads(body)["value"]
    return value


def app_facts(instance: Instance) -> dict[str, str]:
    line = wait_for("the app's first line", lambda: instance.spooled("stdout").splitlines())[0]
    facts: dict[str, str] = json.loads(line)
    return facts


def app_client(instance: Instance) -> tuple[BlockingClient, tuple[bytes, bytes]]:
    facts = app_facts(instance)
    port = int(facts["PILLION_URL"].rstrip("/").rpartition(":")[2])
    return BlockingClient.tcp("127.0.0.1", port), (
        b"authorization",
        f"Bearer {facts['PILLION_TOKEN']}".encode(),
    )


def test_every_source_gives_its_value(host: Host, planted: Planted, collector: Collector) -> None:
    instance = start(host, planted, collector)
    with BlockingClient.unix(f"{instance.runtime}/api.sock") as client:
        for name, value in planted.values.items():
            assert value_of(client, name) == value
        binary = json.loads(ask(client, "/v1/secrets/binary")[1])
        assert binary["encoding"] == "base64"
        assert base64.b64decode(binary["value"]) == planted.binary
        assert ask(client, "/v1/secrets/missing")[0] == 404
        assert ask(client, "/v1/secrets/nobody")[0] == 404
        assert ask(client, "/v1/secrets/mount/..data/password")[0] == 404
        listed = json.loads(ask(client, "/v1/secrets")[1])["items"]
    assert {(one["name"], one["kind"], one["present"]) for one in listed} == {
        ("file", "file", True),
        ("env", "env", True),
        ("credential", "credential", True),
        ("mount/password", "directory", True),
        ("binary", "file", True),
        ("admin", "file", True),
        ("missing", "file", False),
    }
    client, token = app_client(instance)
    with client:
        assert json.loads(ask(client, "/v1/secrets/file", token)[1])["value"]
        status, body = ask(client, "/v1/secrets/admin", token)
        assert (status, json.loads(body)["title"]) == (403, "Forbidden")
        assert ask(client, "/v1/secrets/file")[0] == 401


def test_a_change_of_a_mount_is_seen(host: Host, planted: Planted, collector: Collector) -> None:
    instance = start(host, planted, collector)
    with BlockingClient.unix(f"{instance.runtime}/api.sock") as client:
        with client.request("GET", "/v1/secrets/mount/password") as answer:
            known = json.loads(answer.read())
            tag = answer.headers.get(b"etag") or b""
            assert answer.headers.get(b"cache-control") == b"no-store"
        assert tag.decode() == f'"{known["version"]}"'
        assert ask(client, "/v1/secrets/mount/password", (b"if-none-match", tag)) == (304, b"")
        other = f"planted-{randomness.token_hex(12)}"
        swap = threading.Timer(0.2, planted.write_mount, (other,))
        swap.start()
        path = f"/v1/secrets/mount/password?wait=10s&version={known['version']}"
        changed = json.loads(ask(client, path)[1])
        swap.join()
        assert changed["value"] == other
        assert changed["version"] != known["version"]
        with client.request("GET", "/v1/secrets", [(b"accept", b"text/event-stream")]) as answer:
            told = b""
            for piece in answer:
                told += piece
                if b"event: current" in told:
                    break
            planted.write_mount(f"planted-{randomness.token_hex(12)}")
            after = b""
            for piece in answer:
                after += piece
                if b"event: put" in after:
                    break
            answer.close()
    assert b"mount/password" in after
    assert not any(needle in told + after for needle in planted.needles())


def test_the_command_lists_and_gives(host: Host, planted: Planted, collector: Collector) -> None:
    start(host, planted, collector)
    listed = host.pillion("secrets").stdout
    assert re.search(
        r"^mount/password +directory +app +present +[0-9a-f]{24}", listed, re.MULTILINE
    )
    assert re.search(r"^missing +file +app +absent +- +-$", listed, re.MULTILINE)
    assert host.pillion("secrets", "get", "env").stdout == planted.values["env"]
    facts = json.loads(host.pillion("secrets", "get", "file", "--json").stdout)
    assert facts["value"] == planted.values["file"]
    assert host.pillion("secrets", "get", "nobody", check=False).returncode == 1
    assert host.pillion("secrets", "get", check=False).returncode == 2
    assert "planted-" not in listed


def test_planted_values_are_found_nowhere(
    host: Host, planted: Planted, collector: Collector
) -> None:
    instance = start(host, planted, collector)
    seen = _Processes(instance)
    seen.look()
    _use_everything(host, instance, planted)
    seen.look()
    host.pillion("upgrade", timeout=60)
    seen.look()
    with BlockingClient.unix(f"{instance.runtime}/api.sock") as client:
        assert value_of(client, "env") == planted.values["env"], "the new agent has it too"
    for name, number in (
        ("agent", signal.SIGKILL),
        ("shipper", signal.SIGKILL),
        ("agent", signal.SIGABRT),
    ):
        pid = instance.wait_state(name)["pid"]
        os.kill(pid, number)
        wait_for(
            f"another {name}",
            lambda name=name, pid=pid: instance.wait_state(name)["pid"] != pid,  # type: ignore[misc]
        )
        seen.look()
    _use_everything(host, instance, planted)
    host.pillion("upgrade", "--keeper", timeout=60)
    with BlockingClient.unix(f"{instance.runtime}/api.sock") as client:
        assert value_of(client, "env") == planted.values["env"]
    wait_for("telemetry", lambda: len(collector.batches) > 2)
    before_end = _files(host.runtime, host.state)
    instance.signal(signal.SIGTERM)
    stdout, stderr = instance.output()
    everything = {
        **before_end,
        **_files(host.runtime, host.state),
        **{f"batch {n}": batch for n, batch in enumerate(collector.batches)},
        **seen.told,
        "stdout": stdout,
        "stderr": stderr,
    }
    assert b"planted as it was: True" in stderr
    assert len(everything) > 20
    found = {
        where: needle
        for where, content in everything.items()
        for needle in planted.needles()
        if needle in content
    }
    assert found == {}


class _Processes:
    """What ps and /proc show of the sidecar's processes: command lines and environments."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.told: dict[str, bytes] = {}

    @staticmethod
    def _holds_the_variable(pid: int) -> bool:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"PLANTED_PASSWORD=planted-" in file.read()

    def look(self) -> None:
        (run,) = os.listdir(self._instance.spool)
        sidecar = marked_pids(run, sidecar=True)
        assert len(sidecar) >= 2
        assert any(self._holds_the_variable(pid) for pid in marked_pids(run)), (
            "the app keeps its own"
        )
        # Of the keeper and the scribe only the command line is ours: their environment is the user's own.
        keeper = self._instance.process.pid
        for pid, kinds in {
            keeper: ["cmdline"],
            **{pid: ["cmdline", "environ"] for pid in sidecar},
        }.items():
            for kind in kinds:
                try:
                    with open(f"/proc/{pid}/{kind}", "rb") as file:
                        self.told[f"{pid} {kind} {len(self.told)}"] = file.read()
                except (FileNotFoundError, ProcessLookupError):
                    continue


def _files(*roots: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in names:
                path = f"{directory}/{name}"
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found[path] = file.read()
    return found


def _use_everything(host: Host, instance: Instance, planted: Planted) -> None:
    """Read the secrets, use what else there is, and put the secrets where they do not belong."""
    document = json.loads(host.pillion("api").stdout)
    reads = [path for path, methods in document["paths"].items() if "get" in methods]
    with BlockingClient.unix(f"{instance.runtime}/api.sock") as client:
        for name, value in planted.values.items():
            assert value_of(client, name) == value
        for path in reads:
            if "{" not in path:
                assert ask(client, path)[0] < 600
    client, token = app_client(instance)
    with client:
        for value in planted.values.values():
            raw = value.encode()
            wrong: list[tuple[Any, ...]] = [
                ("/v1/secrets/file", (b"authorization", b"Bearer " + raw)),
                ("/v1/secrets/file", (b"authorization", b"Basic " + base64.b64encode(raw))),
                (f"/v1/secrets/{value}", token),
                (f"/{value}", token),
                (f"/v1/logs?level={value}", token),
                ("/v1/secrets/file", (b"host", raw)),
                ("/v1/secrets/file", token, (b"x-secret", raw), (b"cookie", raw)),
            ]
            for path, *fields in wrong:
                ask(client, path, *fields)
            for path in ("/v1/reload", "/v1/components/app/signal", "/v1/upgrade"):
                ask(client, path, token, method="POST", body=raw)
                json_type = (b"content-type", b"application/json")
                body = json.dumps({"signal": value, "python": value}).encode()
                ask(client, path, token, json_type, method="POST", body=body)
    for words in (("status", "--json"), ("components", "--json"), ("events",), ("secrets",)):
        shown = host.pillion(*words).stdout
        assert not any(value in shown for value in planted.values.values())
