"""From a change of a source to what a proxy of a real instance serves, and what is left when the change is no good."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from free_ports import free_port
from instance import wait_for
from proxies_edge import NGINX, Edge
from proxies_running import NAME, ask, count

if TYPE_CHECKING:
    from instance import Host


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_change_of_configuration_is_served(host: Host, kind: str) -> None:
    edge = Edge(host, kind)
    edge.serves("hello")
    edge.set("shop/greeting", '"good day; return 500"')
    edge.serves("good day; return 500")
    event = edge.wait_for("proxy-applied", 2)
    assert event["data"]["previous"] != event["data"]["version"]
    assert event["data"]["took_ms"] > 0


def test_members_of_a_service_are_served(host: Host) -> None:
    edge = Edge(host)
    for name in ("b", "a"):
        host.pillion(
            "services", "register", "orders", name, "--address", "127.0.0.1", "--port", "1"
        )
    edge.serves("a,b", "/members")
    host.pillion("services", "deregister", "orders", "b")
    edge.serves("a", "/members")


def test_haproxy_takes_members_without_a_reload(host: Host) -> None:
    edge = Edge(host, "haproxy")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        host.pillion(
            "services", "register", "orders", "a", "--address", "127.0.0.1", "--port", port
        )
        edge.wait_for("proxy-changed")
    [one] = edge.proxy()["items"]
    assert one["counts"]["reloads"] == 1, "the one at the start"
    assert one["version"] != one["loaded"]
    conf = os.path.join(one["directory"], "haproxy.cfg")
    with open(conf) as file:
        assert f"127.0.0.1:{port}" in file.read(), "a later start agrees"


def test_a_template_error_leaves_the_last_good_version_and_names_its_line(host: Host) -> None:
    edge = Edge(host)
    edge.write(edge.text.replace("events {}", "events {}\nlistne 80;"))
    event = edge.wait_for("proxy-refused")
    assert event["reason"].startswith(f"{edge.template} line 5 ")
    assert 'unknown directive "listne"' in event["reason"]
    edge.serves("hello")
    edge.write(edge.text.replace("events {}", "events {}\n{{ nothing }}"))
    edge.wait_for("proxy-refused", 2)
    edge.serves("hello")
    edge.write(edge.text.replace("204", "205"))
    edge.wait_for("proxy-applied", 2)
    # For a moment after a reload the old worker accepts too.
    wait_for("the new version answers", lambda: ask(edge.port, "/limit")[0] == 205)


def test_a_check_that_passes_while_the_load_fails(host: Host) -> None:
    """nginx notices only at the load that a zone has got another key."""
    zone = "limit_req_zone $KEY zone=one:1m rate=100r/s;\n  {{ proof() }}"
    text = NGINX.replace("{{ proof() }}", zone)
    edge = Edge(host, text=text.replace("$KEY", "$remote_addr"))
    edge.write(edge.text.replace("$remote_addr", "$server_name").replace('"hello"', '"other"'))
    event = edge.wait_for("proxy-returned")
    assert 'limit_req "one"' in event["reason"] or 'zone "one"' in event["reason"], event
    assert "key" in event["reason"]
    line = 1 + edge.text.split("limit_req_zone ")[0].count("\n")
    assert event["reason"].startswith(f"{edge.template} line {line} (nginx.conf line "), event
    edge.serves("hello")
    [one] = edge.proxy()["items"]
    assert one["state"] in ("serving", "applying")
    wait_for("it is given up", lambda: edge.proxy()["items"][0]["retry_in_s"] is None)
    edge.serves("hello")


def test_a_taken_port_is_tried_again_until_it_is_free(host: Host) -> None:
    edge = Edge(host)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        edge.write(edge.text.replace(str(edge.port), str(taken)))
        event = edge.wait_for("proxy-returned")
        line = 1 + edge.text.split("listen ")[0].count("\n")
        assert event["reason"].startswith(f"{edge.template} line {line} (nginx.conf line ")
        assert "in use" in event["reason"]
        edge.serves("hello")
    edge.port = taken
    edge.serves("hello")


def test_a_name_that_does_not_resolve(host: Host) -> None:
    edge = Edge(host)
    edge.write(
        edge.text.replace("events {}", "events {}").replace(
            "location /limit",
            "location /away { proxy_pass http://nobody.invalid; }\n location /limit",
        )
    )
    event = edge.wait_for("proxy-refused")
    assert "nobody.invalid" in event["reason"]
    edge.serves("hello")
    # A name may come to be.
    wait_for("it is tried again", lambda: edge.proxy()["items"][0]["counts"]["checks"] > 3)
    assert count(edge.instance, "proxy-refused") == 1


def test_apply_render_diff_history_and_rollback(host: Host) -> None:
    edge = Edge(host, more='wait = { min = "1h", max = "1h" }')
    edge.set("shop/greeting", '"changed"')
    preview = edge.proxy("render")
    assert preview["changed"]
    assert "changed" in preview["files"]["nginx.conf"]
    diff = host.pillion("proxy", "diff").stdout
    assert "-" in diff
    assert "changed" in diff
    edge.serves("hello")
    attempt = edge.proxy("apply")
    assert attempt["outcome"] == "applied"
    edge.serves("changed")
    assert edge.proxy("apply")["outcome"] == "unchanged"
    items = edge.proxy("history", NAME)["items"]
    assert [one["outcome"] for one in items] == ["applied", "applied"]
    assert "changed" in host.pillion("proxy", "diff", NAME, items[0]["version"]).stdout
    back = edge.proxy("rollback")
    assert back["outcome"] == "applied"
    edge.serves("hello")
    [one] = edge.proxy()["items"]
    assert one["pinned"] == one["version"] == items[1]["version"]
    assert "by hand" in host.pillion("proxy", "status").stdout
    assert edge.proxy("apply")["outcome"] == "applied"
    edge.serves("changed")
    assert edge.proxy()["items"][0]["pinned"] == ""


def test_the_command_says_what_went_wrong_and_ends_with_1_or_2(host: Host) -> None:
    edge = Edge(host, more='wait = { min = "1h", max = "1h" }')
    edge.write(edge.text.replace("events {}", "events {}\nlistne 80;"))
    attempt = edge.proxy("apply", code=1)
    assert attempt["outcome"] == "refused"
    assert "listne" in attempt["reason"]
    done = host.pillion("proxy", "apply", check=False)
    assert done.returncode == 1
    assert "listne" in done.stdout
    assert host.pillion("proxy", "apply", "nobody", check=False).returncode == 1
    assert host.pillion("proxy", "rollback", NAME, "0" * 16, check=False).returncode == 1
    assert host.pillion("proxy", "list", "--force", check=False).returncode == 2
    assert host.pillion("proxy", "history", NAME, "x", check=False).returncode == 2


def test_only_an_operator_may_apply_or_see_files(host: Host) -> None:
    edge = Edge(host)
    with open(os.path.join(edge.instance.runtime, "token")) as file:
        token = file.read().strip()
    with open(os.path.join(edge.instance.runtime, "instance.json")) as file:
        url = json.load(file)["url"]

    def status(method: str, path: str) -> str:
        words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method]
        words += ["-H", f"Authorization: Bearer {token}", f"{url}/v1/proxies{path}"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout

    assert status("GET", "") == "200"
    assert status("GET", f"/{NAME}") == "200"
    assert status("GET", f"/{NAME}/history") == "403"
    for action in ("render", "apply", "rollback"):
        assert status("POST", f"/{NAME}/{action}") == "403"


def test_what_turns_empty_is_held_back_until_it_is_believed(host: Host) -> None:
    edge = Edge(host, more='guard = { hold = "3s" }')
    host.pillion("services", "register", "orders", "a", "--address", "127.0.0.1", "--port", "1")
    edge.serves("a", "/members")
    host.pillion("services", "deregister", "orders", "a")
    event = edge.wait_for("proxy-held")
    assert "orders" in event["reason"]
    assert ask(edge.port, "/members") == (200, "a")
    edge.serves("", "/members")


def test_a_foreign_edit_is_told_and_put_right_when_asked_for(host: Host) -> None:
    edge = Edge(host, more="correct = true")
    conf = os.path.join(edge.proxy()["items"][0]["directory"], "nginx.conf")
    with open(conf) as file:
        before = file.read()
    with open(conf, "a") as file:
        file.write("# mine\n")
    event = edge.wait_for("proxy-edited")
    assert "nginx.conf" in event["reason"]

    def is_as_before() -> bool:
        with open(conf) as file:
            return file.read() == before

    wait_for("it is put right", is_as_before)
    edge.serves("hello")


def test_a_file_that_a_template_uses_is_followed(host: Host) -> None:
    path = os.path.join(host.root, "greeting.txt")
    with open(path, "w") as file:
        file.write("from a file")
    text = NGINX.replace('config("shop/greeting", "hello")', f'file("{path}")')
    edge = Edge(host, text=text)
    edge.serves("from a file")
    with open(f"{path}.new", "w") as file:
        file.write("another")
    os.replace(f"{path}.new", path)
    edge.serves("another")


def test_a_reload_of_the_settings_begins_changes_and_ends_proxies(host: Host) -> None:
    edge = Edge(host)
    path = os.path.join(host.root, "app.toml")
    with open(path) as file:
        settings = file.read()
    other = free_port()
    with open(os.path.join(host.root, "second.j2"), "w") as file:
        file.write(edge.text.replace(str(edge.port), str(other)))
    more = settings.replace('"edge"', '"second"').replace(edge.template, "second.j2")
    with open(path, "w") as file:
        file.write(settings + more)
    host.pillion("reload")
    wait_for("the second serves", lambda: ask(other) == (200, "hello"))
    with open(path, "w") as file:
        file.write(more)
    host.pillion("reload")
    wait_for("the first is gone", lambda: ask(edge.port)[0] == 0)
    assert [one["name"] for one in edge.proxy()["items"]] == ["second"]
    assert ask(other) == (200, "hello")


def test_a_secret_is_served_and_shown_nowhere(host: Host) -> None:
    planted = "s3cr3t-Zq9-planted"
    secret = os.path.join(host.root, "password")
    with open(secret, "w") as file:
        file.write(f"{planted}\n")
    text = NGINX.replace('config("shop/greeting", "hello")', 'secret("password")')
    more = f'[secrets]\npassword = {{ file = "{secret}" }}\n'
    edge = Edge(host, text=text, more=more)
    edge.serves(planted)
    shown = "".join(
        host.pillion("proxy", *words).stdout
        for words in (
            ("render",),
            ("diff",),
            ("status",),
            ("history",),
            ("render", "--json"),
            ("apply", "--json"),
        )
    )
    rotated = "n3xt-Xw7-planted"
    with open(f"{secret}.new", "w") as file:
        file.write(rotated)
    os.replace(f"{secret}.new", secret)
    edge.serves(rotated)
    version = edge.proxy("history")["items"][0]["version"]
    shown += host.pillion("proxy", "diff", NAME, version).stdout
    # The proxy's own words quote the line that they complain about.
    edge.write(edge.text.replace("events {}", "events {}\n{{ secret('password') }} on;"))
    edge.wait_for("proxy-refused")
    shown += json.dumps(edge.instance.events())
    state = os.path.join(host.state, "app")
    for directory, _, names in os.walk(state):
        for name in names:
            path = os.path.join(directory, name)
            if "conf" in os.path.relpath(path, state).split(os.sep):
                assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0, path
                continue
            with open(path, "rb") as content:
                data = content.read()
            for value in (planted, rotated):
                assert value.encode() not in data, path
    for value in (planted, rotated):
        assert value not in shown


def test_a_proxy_runs_on_and_comes_back_without_an_agent(host: Host) -> None:
    edge = Edge(host)
    edge.set("shop/greeting", '"kept"')
    edge.serves("kept")
    version = edge.proxy()["items"][0]["version"]
    edge.instance.end()
    with open(os.path.join(host.root, edge.template), "w") as file:
        file.write("{{ this cannot be rendered")
    again = host.run("sleep", "60", settings=None, words=("--settings", "app.toml"))
    again.wait_state("app")
    edge.serves("kept")
    edge.instance = again
    event = edge.wait_for("proxy-refused")
    assert "cannot render" in event["reason"]
    assert edge.proxy()["items"][0]["version"] == version


def test_it_is_upgraded_without_a_change_of_what_serves(host: Host) -> None:
    edge = Edge(host)
    pid = edge.instance.component(NAME)["pid"]
    host.pillion("upgrade", timeout=60)
    edge.set("shop/greeting", '"after"')
    edge.serves("after")
    assert edge.instance.component(NAME)["pid"] == pid
