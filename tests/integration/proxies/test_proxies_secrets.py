"""A secret in a managed proxy's files is served, and found in nothing that is said about them: API, commands, history, events, log."""

from __future__ import annotations

import base64
import json
import os
import secrets as randomness
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from pillion.http.blocking import BlockingClient
from proxies_edge import HAPROXY, NGINX, Edge
from proxies_running import KINDS, ask, count, told

if TYPE_CHECKING:
    from instance import Host

LINES = {
    "nginx": (
        "location / {",
        'location /secret { return 200 {{ secret("token")|quote }}; }\n    location / {',
    ),
    "haproxy": (
        "  default_backend orders",
        """  http-request return status 200 content-type text/plain string {{ secret("token")|quote }} if { path /secret }
  default_backend orders""",
    ),
}
# A word that the proxy itself says back: its complaint is about the value.
BROKEN = {"nginx": '{{ secret("token") }} 7;', "haproxy": '{{ secret("token") }} 7'}


class Vault:
    """The secret's file, and every value that it ever had."""

    def __init__(self, host: Host) -> None:
        self.path = os.path.join(host.root, "planted")
        self.values: list[str] = []
        self.plant()

    def plant(self) -> str:
        """Another value, moved in as a vault's agent does."""
        self.values.append(f"planted-{randomness.token_hex(12)}")
        with open(f"{self.path}.new", "w") as file:
            file.write(self.values[-1])
        os.replace(f"{self.path}.new", self.path)
        return self.values[-1]

    def found_in(self, everything: dict[str, bytes]) -> dict[str, str]:
        """Where one of them is, as it is or encoded."""
        return {
            where: value
            for where, content in everything.items()
            for value in self.values
            for needle in (
                value.encode(),
                base64.b64encode(value.encode()),
                value.encode().hex().encode(),
            )
            if needle in content
        }


def everything_asked(edge: Edge) -> dict[str, bytes]:
    """What the API answers about the proxy, to the operator, who may see all of it."""
    answers: dict[str, bytes] = {}
    with BlockingClient.unix(f"{edge.instance.runtime}/api.sock") as client:

        def call(method: str, path: str) -> bytes:
            with client.request(method, path) as answer:
                answers[f"{method} {path}"] = body = answer.read()
            return body

        call("GET", "/v1/proxies")
        call("GET", "/v1/proxies/edge")
        history = json.loads(call("GET", "/v1/proxies/edge/history"))
        for one in history["items"]:
            call("GET", f"/v1/proxies/edge/history/{one['version']}")
        call("POST", "/v1/proxies/edge/render")
        call("POST", "/v1/proxies/edge/apply")
        call("GET", "/v1/events")
        call("GET", "/metrics")
    return answers


def everything_said(edge: Edge) -> dict[str, bytes]:
    """What the commands print."""
    said = {}
    for words in (["status"], ["render"], ["diff"], ["history"], ["apply"]):
        for more in ([], ["--json"]):
            done = edge.host.pillion("proxy", *words, "edge", *more, check=False)
            said[" ".join([*words, *more])] = (done.stdout + done.stderr).encode()
    said["events"] = edge.host.pillion("events").stdout.encode()
    return said


def everything_kept(edge: Edge) -> dict[str, bytes]:
    """All files of the instance but those that are served: history, notes, spool with events and log."""
    served = os.path.join(edge.host.state, edge.instance.name, "proxies", "edge", "conf")
    kept: dict[str, bytes] = {}
    for top in (edge.host.state, edge.host.runtime):
        for directory, _, names in os.walk(top):
            if directory.startswith(served):
                continue
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        kept[path] = file.read()
    assert any("history" in path for path in kept)
    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_secret_is_served_and_told_to_nobody(host: Host, kind: str) -> None:
    vault = Vault(host)
    text = (NGINX if kind == "nginx" else HAPROXY).replace(*LINES[kind])
    edge = Edge(host, kind, f'[secrets]\ntoken = {{ file = "{vault.path}" }}\n', text)
    edge.serves(vault.values[0], "/secret")
    found: dict[str, bytes] = {}

    def look(when: str) -> None:
        for part in (everything_asked(edge), everything_said(edge)):
            found.update({f"{when}: {where}": content for where, content in part.items()})

    look("served")
    edge.serves(vault.plant(), "/secret")
    look("rotated")

    # What the proxy complains of is the value itself.
    end = "http {" if kind == "nginx" else "frontend in"
    edge.write(edge.text.replace(end, f"{end}\n{BROKEN[kind]}"))
    edge.wait_for("proxy-refused")
    look("refused")
    reason = edge.wait_for("proxy-refused")["reason"]
    assert "*" in reason
    refused = count(edge.instance, "proxy-refused")
    vault.plant()
    wait_for(
        "the next value is refused, too, or is the same to whoever cannot see it",
        lambda: (
            count(edge.instance, "proxy-refused") > refused
            or ask(edge.port, "/secret") == (200, vault.values[1])
        ),
        state=lambda: told(edge.instance),
    )

    edge.write(edge.text)
    edge.serves(vault.values[-1], "/secret")
    # An old version is brought back with the secret of today.
    served = [one for one in edge.proxy("history", "edge")["items"] if one["outcome"] == "applied"]
    edge.proxy("rollback", "edge", served[-1]["version"])
    edge.serves(vault.values[-1], "/secret")
    look("at the end")
    found |= everything_kept(edge)
    edge.instance.end()
    stdout, stderr = edge.instance.output()
    found |= {"stdout": stdout, "stderr": stderr} | everything_kept(edge)
    assert len(found) > 60
    assert vault.found_in(found) == {}
    # The files that are served have it, for their owner and the proxy alone.
    conf = os.path.join(host.state, edge.instance.name, "proxies", "edge", "conf")
    main = os.path.join(conf, "nginx.conf" if kind == "nginx" else "haproxy.cfg")
    assert os.stat(main).st_mode & 0o007 == 0
