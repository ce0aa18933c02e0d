"""An instance with one proxy whose template uses a key of the configuration and a service, and commands about it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from free_ports import free_port
from instance import wait_for
from proxies_running import ask, count, start, told

if TYPE_CHECKING:
    from instance import Host, Instance

NGINX = """
{{ bounds() }}
worker_processes 1;
events {}
http {
  access_log off;
  {{ proof() }}
  server {
    listen 127.0.0.1:PORT;
    location / { return 200 {{ config("shop/greeting", "hello")|quote }}; }
    location /members { return 200 {{ service("orders")|map(attribute="id")|join(",")|quote }}; }
    location /limit { return LIMIT; }
  }
}
"""
HAPROXY = """
global
{{ admin() }}
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
{{ proof() }}
frontend in
  bind 127.0.0.1:PORT
  http-request return status 200 content-type text/plain string {{ config("shop/greeting", "hello")|quote }} if { path / }
  default_backend orders
backend orders
{% for member in service("orders") %}
  server {{ member.server_name }} {{ member|host_port }} weight {{ member.weight|number }}
{% endfor %}
"""
SETTINGS = """
[[proxies]]
name = "edge"
kind = "{kind}"
template = "{template}"
retry_initial = "200ms"
{more}
"""


class Edge:
    """An instance with one proxy, its port, and commands about it."""

    def __init__(self, host: Host, kind: str = "nginx", more: str = "", text: str = "") -> None:
        self.host = host
        self.port = free_port()
        self.template = "nginx.conf.j2" if kind == "nginx" else "haproxy.cfg.j2"
        plain = text or (NGINX if kind == "nginx" else HAPROXY)
        self.text = plain.replace("PORT", str(self.port)).replace("LIMIT", "204")
        settings = SETTINGS.format(kind=kind, template=self.template, more=more)
        self.instance: Instance = start(host, settings, {self.template: self.text})

    def write(self, text: str) -> None:
        """Another template, in place of the one that there is."""
        path = os.path.join(self.host.root, self.template)
        with open(f"{path}.new", "w") as file:
            file.write(text)
        os.replace(f"{path}.new", path)

    def set(self, key: str, value: str) -> None:
        self.host.pillion("config", "set", key, value)

    def proxy(self, *words: str, code: int | None = 0) -> dict[str, Any]:
        """What `pillion proxy … --json` prints."""
        done = self.host.pillion("proxy", *words, "--json", check=False)
        if code is not None:
            assert done.returncode == code, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def serves(self, body: str, path: str = "/") -> None:
        """Wait until it answers `body`."""
        wait_for(
            f"{path} is {body!r}",
            lambda: ask(self.port, path) == (200, body),
            state=lambda: (ask(self.port, path), told(self.instance)),
        )

    def wait_for(self, kind: str, times: int = 1) -> dict[str, Any]:
        """The last event of this kind, once there are so many."""
        wait_for(
            f"{times} {kind}",
            lambda: count(self.instance, kind) >= times,
            state=lambda: told(self.instance),
        )
        return [one for one in told(self.instance) if one["kind"] == kind][-1]
