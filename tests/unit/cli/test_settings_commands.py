"""init, check and schema, run as the dispatcher runs them."""

import argparse
import json
from pathlib import Path

import pytest

from pillion.cli import check, init, schema
from pillion.errors import PillionError
from pillion.settings import json_schema


def _run(module: object, *words: str) -> int:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)  # type: ignore[attr-defined]
    code = module.run(parser.parse_args(words))  # type: ignore[attr-defined]
    assert isinstance(code, int)
    return code


def test_init_writes_a_file_that_check_accepts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "package.json").write_text('{"name": "shop", "main": "server.js"}')
    assert _run(init, str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"wrote {tmp_path}/pillion.toml: how to start shop, in package.json, main\n"
    )
    assert _run(check, str(tmp_path / "pillion.toml")) == 0
    assert "  runs      node server.js as shop\n" in capsys.readouterr().out


def test_init_replaces_nothing_without_force(tmp_path: Path) -> None:
    (tmp_path / "pillion.toml").write_text("mine")
    with pytest.raises(
        PillionError, match=r"cannot write .*pillion.toml: it is there already; --force replaces it"
    ):
        _run(init, str(tmp_path))
    assert (tmp_path / "pillion.toml").read_text() == "mine"
    assert _run(init, str(tmp_path), "--force") == 0
    assert "[app]" in (tmp_path / "pillion.toml").read_text()


def test_init_prints_without_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(init, str(tmp_path), "--stdout") == 0
    assert "# Found: no command for " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_init_in_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(PillionError, match="cannot look into"):
        _run(init, str(tmp_path / "none"))


def test_check_prints_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[app]\nrestrat = 1\nport = 0\n")
    assert _run(check, str(file)) == 2
    assert capsys.readouterr().out == (
        f"{file}:2: app.restrat: unknown setting; did you mean app.restart?\n"
        f"{file}:3: app.port: cannot use 0; expected a port from 1 to 65535\n"
        "2 problems\n"
    )
    assert _run(check, str(file), "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert found["problems"][0] == {
        "line": 2,
        "path": "app.restrat",
        "message": "unknown setting",
        "expected": "",
        "suggestion": "app.restart",
        "source": str(file),
        "column": None,
    }


def test_check_says_what_holds_and_keeps_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        """
        [app]
        name = "shop"
        command = ["node", "my server.js"]
        port = 3000
        user = "www-data"
        restart = "on-failure"
        ready = { http = "/healthz" }
        watchdog = { timeout = "10s" }
        env = { KEY = "s3cret" }
        limits = { memory = "512M", cpu = 1.5, processes = 200, open_files = 4096 }
        [api]
        probe_listen = "0.0.0.0:9901"
        [logs]
        files = ["/var/log/x"]
        file = { path = "out.log" }
        [telemetry]
        otlp = "http://127.0.0.1:4318"
        headers = { authorization = "s3cret" }
        """
    )
    assert _run(check, str(file)) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert out == (
        f"{file}: no problems\n"
        "  runs      node 'my server.js' as shop, user www-data\n"
        "  ready     when http://127.0.0.1:3000/healthz answers\n"
        "  restarts  after a failure; waits 1s to 30s; given up after 10 without a run of 1m\n"
        "  stops     TERM, and KILL after 10s\n"
        "  watchdog  restarted after 10s without a sign\n"
        "  limits    app: memory 512M, cpu 1.5, processes 200, open files 4096; agent: memory 128M; shipper: memory 128M\n"
        "  keeps     256M or 1d of output, the oldest dropped first; also in out.log; follows /var/log/x\n"
        "  ships     to http://127.0.0.1:4318 (http/protobuf, gzip)\n"
        "  found     as shop on port 3000, when it is healthy\n"
        "  api       Unix socket and 127.0.0.1:0\n"
        "  probes    0.0.0.0:9901\n"
        '  note      telemetry.headers.authorization: a secret in the settings file; "file:/path" keeps it in a file of its own\n'
    )
    assert _run(check, str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["stops"] == "TERM, and KILL after 10s"


def test_check_tells_who_calls_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        """
        service.port = 8080
        [app]
        port = 3000
        [ambassador]
        proxy = { egress = "list", hosts = ["*.example.org", "example.net"] }
        [ambassador.upstreams]
        orders = { service = "orders", listen = "127.0.0.1:5001" }
        pay = { urls = "https://pay.example", listen = "off" }
        db = { dns = "db:5432", protocol = "tcp", listen = "off" }
        cache = ["tcp://a:1", "tcp://b:1"]
        [[ambassador.routes]]
        to = "pay"
        [inbound]
        listen = "127.0.0.1:8080"
        """
    )
    assert _run(check, str(file)) == 0
    assert (
        "  calls     orders (service orders) at 127.0.0.1:5001; pay (https://pay.example); "
        "db (dns db:5432, tcp); cache (2 URLs, tcp) at 127.0.0.1:0\n"
        "  proxy     127.0.0.1:0, egress: 2 hosts\n"
        "  routes    1\n"
        "  inbound   127.0.0.1:8080, to port 3000\n"
        "  found     as the name of its command on port 8080, when it is healthy\n"
    ) in capsys.readouterr().out


def test_check_takes_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text("")
    assert _run(check, str(file), "--set", "app.ready.exec=true", "--set", "api.listen=off") == 0
    out = capsys.readouterr().out
    assert "  ready     when true succeeds\n" in out
    assert "  api       Unix socket\n" in out


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(schema) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
