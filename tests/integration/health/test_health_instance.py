"""Health in a whole instance: settings, API, load balancers, commands and the journal."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from free_ports import free_port
from health_client import SLEEPER, ask, ask_as_app, ask_port, check_of, touch, unlink, wait_health
from instance import wait_for

if TYPE_CHECKING:
    from instance import Host, Instance


def file_check(host: Host, name: str, more: str = "") -> str:
    """A check that passes while a file is there."""
    return (
        f'[health.checks.{name}]\nexec = ["test", "-e", "{host.root}/{name}"]\ninterval = "100ms"\n'
        f'fall = 2\njitter = "0%"\n{more}\n'
    )


def reload(host: Host, instance: Instance, settings: str) -> None:
    with open(f"{host.root}/{instance.name}.toml", "w") as file:
        file.write(settings)
    host.pillion("reload", "--instance", instance.name)


def test_without_checks_health_is_the_apps_own(host: Host) -> None:
    instance = host.run(*SLEEPER)
    report = wait_health(instance, "passing")
    assert report == {"status": "passing", "checks": [], "reasons": []}
    ask(instance, "POST", "/v1/components/app/stop")
    report = wait_health(instance, "critical")
    assert report["reasons"][0].startswith("the app is stop")


def test_a_check_of_the_settings(host: Host) -> None:
    port = free_port()
    touch(f"{host.root}/db")
    settings = f'[api]\nprobe_listen = "127.0.0.1:{port}"\n' + file_check(host, "db")
    instance = host.run(*SLEEPER, settings=settings)
    check = check_of(wait_health(instance, "passing"), "db")
    assert (check["kind"], check["probe"], check["counts"]) == ("readiness", "exec", True)
    assert check["duration_ms"] > 0
    assert ask_port(port, "/v1/health") == (200, {"status": "passing"})
    assert ask_port(port, "/readyz")[0] == 200

    unlink(f"{host.root}/db")
    report = wait_health(instance, "critical")
    assert report["reasons"] == ["check db is critical: code 1"]
    assert check_of(report, "db")["failures"] == 2
    assert ask(instance, "GET", "/v1/health")[0] == 503
    assert ask_port(port, "/v1/health") == (503, {"status": "critical"})
    assert ask_port(port, "/v1/health?kind=liveness") == (200, {"status": "passing"})
    status, problem = ask_port(port, "/readyz")
    assert (status, problem["problems"]) == (503, ["check db is critical: code 1"])
    assert ask_port(port, "/livez")[0] == 200
    assert ask_port(port, "/v1/components")[0] == 404
    done = host.pillion("health", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "critical"
    assert "check db is critical: code 1" in done.stdout

    touch(f"{host.root}/db")
    wait_health(instance, "passing")
    done = host.pillion("health", "--json")
    assert json.loads(done.stdout)["checks"][0]["name"] == "db"
    assert host.pillion("health", "--kind", "liveness").stdout == "passing\n"

    def journal() -> list[dict[str, Any]]:
        found = [e for e in instance.events() if e["kind"] in ("healthy", "unhealthy")]
        return found if len(found) == 3 else []

    events = wait_for("the transitions are in the journal", journal)
    assert [e["kind"] for e in events] == ["healthy", "unhealthy", "healthy"]
    assert events[1]["component"] == "app"
    assert events[1]["data"] == {
        "check": "db",
        "kind": "readiness",
        "status": "critical",
        "output": "code 1",
    }


def test_health_needs_a_token_where_tokens_are_asked_for(host: Host) -> None:
    instance = host.run(*SLEEPER)
    wait_health(instance, "passing")
    assert ask_as_app(instance, "GET", "/v1/health")[1]["checks"] == []
    with open(f"{instance.runtime}/instance.json") as file:
        port = int(json.load(file)["url"].rpartition(":")[2])
    assert ask_port(port, "/v1/health")[0] == 401


def test_until_the_start_up_check_has_passed_the_others_wait(host: Host) -> None:
    touch(f"{host.root}/ready")
    settings = (
        file_check(host, "boot", 'kind = "startup"')
        + file_check(host, "ready")
        + file_check(host, "alive", 'kind = "liveness"')
    )
    instance = host.run(*SLEEPER, settings=settings)
    wait_for(
        "the start-up check has failed",
        lambda: check_of(wait_health(instance, "critical"), "boot")["failures"] == 2,
    )
    report = wait_health(instance, "critical")
    assert not check_of(report, "ready")["counts"]
    assert check_of(report, "ready")["checked"] is None
    assert ask(instance, "GET", "/v1/health?kind=liveness")[0] == 200
    touch(f"{host.root}/boot")
    touch(f"{host.root}/alive")
    wait_health(instance, "passing")
    unlink(f"{host.root}/boot")
    unlink(f"{host.root}/alive")
    report = wait_health(instance, "critical")
    assert report["reasons"] == ["check alive is critical: code 1"]


def test_the_app_registers_checks_and_feeds_them(host: Host) -> None:
    instance = host.run(*SLEEPER)
    wait_health(instance, "passing")
    path = "/v1/health/checks/worker"
    status, check = ask_as_app(instance, "PUT", path, {"ttl": "1s"})
    assert (status, check["status"], check["registered"]) == (201, "critical", True)
    assert ask_as_app(instance, "PUT", path, {"ttl": "1s"})[0] == 200
    assert ask(instance, "GET", "/v1/health")[0] == 503
    status, check = ask_as_app(instance, "POST", f"{path}/pass", {"output": "3 jobs"})
    assert (status, check["output"]) == (200, "3 jobs")
    status, check = ask_as_app(instance, "POST", f"{path}/warn")
    assert (status, check["status"]) == (200, "warning")
    assert ask(instance, "GET", "/v1/health")[0] == 200
    done = host.pillion("health", check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "warning")
    report = wait_health(instance, "critical")
    assert "nobody said pass, warn or fail within 1 s" in report["reasons"][0]
    assert ask_as_app(instance, "DELETE", path) == (204, None)
    assert ask(instance, "GET", "/v1/health")[0] == 200


REFUSED = [
    ("PUT", "/v1/health/checks/x", {"exec": ["true"]}, 403),
    ("PUT", "/v1/health/checks/x", {}, 422),
    ("PUT", "/v1/health/checks/x", {"ttl": 5}, 422),
    ("PUT", "/v1/health/checks/x", {"http": "/"}, 422),
    ("PUT", "/v1/health/checks/.x", {"ttl": "1s"}, 422),
    ("PUT", "/v1/health/checks/db", {"ttl": "1s"}, 409),
    ("DELETE", "/v1/health/checks/db", None, 409),
    ("DELETE", "/v1/health/checks/none", None, 404),
    ("POST", "/v1/health/checks/none/pass", None, 404),
    ("POST", "/v1/health/checks/db/pass", None, 409),
    ("POST", "/v1/health/checks/db/pass", {"output": 1}, 422),
    ("GET", "/v1/health?kind=none", None, 400),
    ("GET", "/v1/health?colour=red", None, 400),
]


def test_what_is_refused_and_why(host: Host) -> None:
    instance = host.run(*SLEEPER, settings=file_check(host, "db"))
    wait_health(instance, "critical")
    for method, path, body, expected in REFUSED:
        status, problem = ask_as_app(instance, method, path, body)
        assert status == expected, (method, path, problem)
        assert problem["detail"].startswith("cannot "), problem
    assert ask(instance, "PUT", "/v1/health/checks/x", {"exec": ["true"]})[0] == 201


def test_registered_checks_end_with_the_process_and_persistent_ones_do_not(host: Host) -> None:
    instance = host.run(*SLEEPER)
    wait_health(instance, "passing")
    ask(instance, "PUT", "/v1/health/checks/mine", {"ttl": "1h"})
    ask(instance, "PUT", "/v1/health/checks/kept", {"process": "app", "persistent": True})
    assert ask(instance, "POST", "/v1/components/app/restart")[0] == 200
    report = wait_health(instance, "passing")
    assert [one["name"] for one in report["checks"]] == ["kept"]
    instance.signal(signal.SIGTERM)
    instance.wait()
    again = host.run(*SLEEPER)
    report = wait_health(again, "passing")
    again.close()  # of the two that share their directories, the one that runs goes first
    assert [one["name"] for one in report["checks"]] == ["kept"]


def test_a_reload_adds_removes_and_changes_checks_and_leaves_the_others_alone(host: Host) -> None:
    for name in ("one", "two"):
        touch(f"{host.root}/{name}")
    instance = host.run(*SLEEPER, settings=file_check(host, "one") + file_check(host, "two"))
    before = check_of(wait_health(instance, "passing"), "one")
    reload(host, instance, file_check(host, "one") + file_check(host, "three"))
    report = wait_health(instance, "critical")
    assert {one["name"] for one in report["checks"]} == {"one", "three"}
    assert check_of(report, "one")["since"] == before["since"]
    touch(f"{host.root}/three")
    wait_health(instance, "passing")


def test_a_new_process_of_the_app_is_checked_anew(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings='[app]\nrestart = "always"\n' + file_check(host, "db"))
    before = check_of(wait_health(instance, "passing"), "db")
    os.kill(instance.component("app")["pid"], signal.SIGKILL)
    wait_health(instance, "critical")
    after = check_of(wait_health(instance, "passing"), "db")
    assert after["since"] > before["since"]


def test_a_failed_check_takes_the_app_out_of_the_list_within_its_fall_count(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings="[app]\nport = 3000\n" + file_check(host, "db"))
    wait_health(instance, "passing")

    def listed() -> bool:
        return bool(ask(instance, "GET", "/v1/services/app")[1]["instances"])

    wait_for("it is listed", listed)
    unlink(f"{host.root}/db")
    # Two failures, 100 ms apart; what is more is for a busy machine.
    wait_for("it is not listed any more", lambda: not listed(), 2.0)
    touch(f"{host.root}/db")
    wait_for("it is listed again", listed)


def test_metrics(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings=file_check(host, "db"))
    wait_health(instance, "passing")
    page = host_metrics(instance)
    assert 'pillion_health_status{component="agent"} 0' in page
    assert 'pillion_health_check_status{component="agent",check="db"} 0.0' in page
    assert 'pillion_health_checks{component="agent",status="passing"} 1.0' in page


def host_metrics(instance: Instance) -> str:
    from pillion.http.blocking import BlockingClient

    with (
        BlockingClient.unix(f"{instance.runtime}/api.sock") as client,
        client.request("GET", "/metrics") as answer,
    ):
        return answer.read().decode()


@pytest.mark.parametrize("sort", ["http", "tcp", "exec"])
def test_readiness_of_the_app_is_asked_by_the_same_probes(host: Host, sort: str) -> None:
    port = free_port()
    ways = {
        "http": '{ http = "/" }',
        "tcp": f'{{ tcp = "127.0.0.1:{port}" }}',
        "exec": f'{{ exec = ["test", "-e", "{host.root}/up"], interval = "50ms" }}',
    }
    server = (
        "const fs = require('fs'); require('http').createServer((_, r) => r.end())"
        f".listen({port}, '127.0.0.1', () => fs.writeFileSync('{host.root}/up', ''))"
    )
    settings = f"[app]\nport = {port}\nready = {ways[sort]}\n"
    instance = host.run("node", "-e", server, settings=settings)
    wait_health(instance, "passing")
    assert instance.component("app")["ready"]
