"""A real instance with an ambassador: its settings written anew, its listeners asked, its workers known."""

from __future__ import annotations

import http.client
import os
import socket
from typing import TYPE_CHECKING, Any

from instance import BOUND_S, wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

# It says in its output what it finds in its environment, and goes on.
APP = ("sh", "-c", "env; echo told; exec sleep 600")


def upstream(name: str, listen: str = "127.0.0.1:0") -> str:
    """An upstream in pillion.toml; whoever calls it is answered by the ambassador itself, so that no server is needed."""
    return f"""
[ambassador.upstreams.{name}]
urls = ["http://127.0.0.1:9"]
listen = "{listen}"
[[ambassador.routes]]
listener = ["{name}"]
answer = {{ status = 200, body = "here" }}
"""


def start(host: Host, settings: str, **options: Any) -> Instance:
    """Start the app with this pillion.toml and wait until everything serves."""
    instance = host.run(*options.pop("command", APP), settings=settings, **options)
    instance.wait_state("app")
    if "ambassador" in (listed := workers(instance)):
        for name in listed:
            instance.wait_state(name)
    return instance


def environment(instance: Instance) -> dict[str, str]:
    """What the app found in its environment at its last start."""
    wait_for("the app has told", lambda: instance.spooled("stdout").endswith(b"told\n"))
    told = instance.spooled("stdout").decode().split("told\n")[-2]
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def workers(instance: Instance) -> dict[str, int]:
    """The pids of the ambassador's processes, by component."""
    items = instance.call("components")["result"]["items"]
    return {i["name"]: i["pid"] for i in items if i["name"].startswith("ambassador")}


def listeners(instance: Instance) -> dict[str, str]:
    """Where the ambassador listens, as the keeper tells it."""
    found: dict[str, str] = instance.call("status")["result"]["listeners"]
    return found


def ask(address: str, path: str = "/", bound_s: float = BOUND_S) -> tuple[int, bytes]:
    """A request over a connection of its own; its status and its body."""
    connection = http.client.HTTPConnection(address, timeout=bound_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listens(address: str) -> bool:
    """Whether anybody takes connections there, if only into a backlog."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), BOUND_S).close()
    except ConnectionRefusedError:
        return False
    return True


def write_settings(instance: Instance, settings: str) -> None:
    """Put another pillion.toml in place of the one it was started with."""
    with open(os.path.join(instance.host.root, f"{instance.name}.toml"), "w") as file:
        file.write(settings)


def reload(instance: Instance, settings: str) -> str:
    """Put new settings in force; returns what the command said, on its errors when it failed."""
    write_settings(instance, settings)
    done = instance.host.pillion("reload", "--instance", instance.name, check=False)
    return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"
