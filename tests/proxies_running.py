"""A real instance with a proxy of each kind that is managed: its template, its members, its processes and what its journal says."""

from __future__ import annotations

import http.client
import os
from typing import TYPE_CHECKING, Any

from instance import BOUND_S, wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

SLEEPER = ("sh", "-c", "while :; do sleep 1; done")
NAME = "edge"
KINDS = ("nginx", "haproxy")


def start(host: Host, settings: str, templates: dict[str, str] | None = None) -> Instance:
    """Start an instance whose settings name these templates, and wait until its proxy serves."""
    for name, text in (templates or {}).items():
        with open(os.path.join(host.root, name), "w") as file:
            file.write(text)
    instance = host.run(*SLEEPER, settings=settings)
    instance.wait_state("app")
    instance.wait_state(NAME)
    wait_for("a version is proved", lambda: count(instance, "proxy-applied"), state=instance.events)
    return instance


def count(instance: Instance, *kinds: str) -> int:
    """How many events of these kinds the journal has of the proxy."""
    return sum(kind in kinds for kind in instance.kinds(NAME))


def told(instance: Instance) -> list[dict[str, Any]]:
    """The proxy's events that are about its configuration, oldest first."""
    return [
        event
        for event in instance.events()
        if event["component"] == NAME and event["kind"].startswith("proxy-")
    ]


def children(pid: int) -> set[int]:
    """The processes that a master has now (proc(5), children)."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return {int(word) for word in file.read().split()}


def workers(instance: Instance) -> set[int]:
    """The proxy's workers, old ones included."""
    return children(int(instance.component(NAME)["pid"]))


def ask(port: int, path: str = "/", bound_s: float = BOUND_S) -> tuple[int, str]:
    """Status and body of a request on a connection of its own; 0 when there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=bound_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()
