"""A service without members is answered 503 and when to come again, also where nginx's workers are of a user who may not enter the instance's directories."""

from __future__ import annotations

import http.client
import os
import signal
import stat
from typing import TYPE_CHECKING

from instance import wait_for
from proxies_edge import Edge
from proxies_running import workers

if TYPE_CHECKING:
    from instance import Host

NGINX = """
{{ bounds() }}
worker_processes 1;
events {}
http {
  access_log off;
  {{ proof() }}
  {{ upstream("orders", "orders") }}
  server {
    listen 127.0.0.1:PORT;
    location = / { return 200 {{ config("shop/greeting", "hello")|quote }}; }
    location /orders { proxy_pass http://orders; }
  }
}
"""


def asked(port: int) -> tuple[int, str | None]:
    """Status and Retry-After; 0 when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/orders")
        answer = connection.getresponse()
        return answer.status, answer.getheader("Retry-After")
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def test_nobody_there_is_503_whatever_the_modes(host: Host) -> None:
    os.chmod(host.root, 0o700)
    edge = Edge(host, text=NGINX)
    edge.serves("hello")
    assert stat.S_IMODE(os.stat(edge.instance.runtime).st_mode) == 0o700
    if os.geteuid() == 0:
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in workers(edge.instance)}
        assert 0 not in owners, "the workers are to be another user's"
    wait_for("503", lambda: asked(edge.port) == (503, "5"), state=lambda: asked(edge.port))
    # A check beside the running one, a load, and a start after a death that left the socket behind.
    edge.set("shop/greeting", '"again"')
    edge.serves("again")
    assert asked(edge.port) == (503, "5")
    pid = int(edge.instance.component("edge")["pid"])
    os.kill(pid, signal.SIGKILL)
    wait_for("it is back", lambda: edge.instance.component("edge")["pid"] not in (pid, None))
    wait_for("503", lambda: asked(edge.port) == (503, "5"), state=lambda: asked(edge.port))
    edge.instance.end()
    assert not os.path.exists(edge.instance.runtime)
