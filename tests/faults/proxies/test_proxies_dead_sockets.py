"""The Unix sockets that a killed nginx leaves do not keep the next one from starting, whether there is an agent that knows of it or not."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

from free_ports import free_port
from instance import wait_for
from pillion.keeper.proxies import clear_sockets
from proxies_components import ask, begin, configuration, place, proxy

if TYPE_CHECKING:
    from pathlib import Path

    from instance import Host


def test_a_killed_nginx_with_a_proof_socket_is_started_again(host: Host) -> None:
    instance, port = begin(host, proxy("edge", "nginx")), free_port()
    listen = f"listen unix:{instance.runtime}/proxy-edge.proof;"
    text = configuration("nginx", port, "one").replace("listen 127", f"{listen} listen 127")
    place(instance, "edge", "nginx", text)
    instance.call("start", name="edge")
    wait_for("it serves", lambda: ask(port) == "one", state=lambda: instance.spooled("sidecar"))
    pid = instance.component("edge")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(
        "another serves",
        lambda: instance.component("edge")["pid"] not in (pid, None) and ask(port) == "one",
        state=lambda: instance.spooled("sidecar"),
    )


def test_sockets_of_this_name_alone_are_removed(tmp_path: Path) -> None:
    names = ("proxy-edge.proof", "proxy-edge.empty", "proxy-edge.x.proof", "proxy-other.proof")
    for name in names:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / name))
    (tmp_path / "proxy-edge.words").write_text("")
    clear_sockets(str(tmp_path), "edge")
    assert sorted(os.listdir(tmp_path)) == [
        "proxy-edge.words",
        "proxy-edge.x.proof",
        "proxy-other.proof",
    ]
