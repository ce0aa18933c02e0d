"""An nginx and a HAProxy that somebody else runs, managed by a real instance: loaded by pid file or master, changed without a load where HAProxy can, and never ended."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from free_ports import free_port
from instance import wait_for
from proxies_edge import HAPROXY, NGINX
from proxies_rendering import program_of
from proxies_running import SLEEPER, ask, children, count, told
from steady_load import steady_load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host, Instance

THEIRS = {
    "nginx": """
events {{}}
http {{
  access_log off;
  server {{ listen 127.0.0.1:{port}; return 200 theirs; }}
}}
""",
    "haproxy": """
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend in
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string theirs
""",
}
MAIN = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


class Somebody:
    """Who runs a proxy of their own, with files of their own until Pillion writes others."""

    def __init__(self, host: Host, kind: str) -> None:
        self.host = host
        self.kind = kind
        self.port = free_port()
        self.directory = os.path.join(host.root, "etc")
        os.mkdir(self.directory)
        self.main = os.path.join(self.directory, MAIN[kind])
        with open(self.main, "w") as file:
            file.write(THEIRS[kind].format(port=self.port))
        self.pid_file = os.path.join(host.root, "theirs.pid")
        self.master = os.path.join(host.root, "theirs.master")
        self.admin = os.path.join(host.root, "theirs.admin")
        command = {
            "nginx": [
                *("-p", f"{self.directory}/", "-c", self.main, "-e", "stderr"),
                *("-g", f"daemon off; pid {self.pid_file};"),
            ],
            "haproxy": ["-W", "-S", f"unix@{self.master},mode,600", "-f", self.main],
        }[kind]
        self.command = [program_of(kind), *command]
        self.process = self.start()
        wait_for("it serves", lambda: ask(self.port) == (200, "theirs"))

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, with the files that are there."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self.process

    def settings(self) -> str:
        """Those by which it is managed."""
        ways = {
            "nginx": f'pid_file = "{self.pid_file}"',
            "haproxy": f'master = "{self.master}"\nsocket = "{self.admin}"',
        }[self.kind]
        return f"""
[[proxies]]
name = "edge"
kind = "{self.kind}"
template = "edge.j2"
run = "other"
directory = "{self.directory}"
retry_initial = "200ms"
retry_max = "1s"
{ways}
"""

    def manage(self) -> Instance:
        """An instance that manages it, once it has."""
        text = (NGINX if self.kind == "nginx" else HAPROXY).replace("PORT", str(self.port))
        with open(os.path.join(self.host.root, "edge.j2"), "w") as file:
            file.write(text.replace("LIMIT", "204"))
        instance = self.host.run(*SLEEPER, settings=self.settings())
        wait_for(
            "a version of ours is proved",
            lambda: count(instance, "proxy-applied"),
            state=lambda: told(instance),
        )
        return instance

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture(params=["nginx", "haproxy"])
def somebody(host: Host, request: pytest.FixtureRequest) -> Iterator[Somebody]:
    # Workers of nginx are not root.
    os.chmod(host.root, 0o755)
    made = Somebody(host, request.param)
    try:
        yield made
    finally:
        made.close()


def serves(somebody: Somebody, instance: Instance, body: str) -> None:
    wait_for(
        f"it answers {body!r}",
        lambda: ask(somebody.port) == (200, body),
        state=lambda: (ask(somebody.port), told(instance)),
    )


def test_it_is_loaded_without_anybody_being_refused_and_outlives_us(
    host: Host, somebody: Somebody
) -> None:
    with steady_load(somebody.port, kept=3, fresh=2) as load:
        instance = somebody.manage()
        serves(somebody, instance, "hello")
        host.pillion("config", "set", "shop/greeting", "welcome")
        serves(somebody, instance, "welcome")
        seen = load.stop()
    assert seen.failed == {}
    assert set(seen.bodies) <= {"theirs", "hello", "welcome"}
    assert host.pillion("proxy", "status", "edge").stdout
    instance.end()
    assert somebody.process.poll() is None
    assert ask(somebody.port) == (200, "welcome")


def test_what_it_cannot_use_is_refused_and_it_serves_on(host: Host, somebody: Somebody) -> None:
    instance = somebody.manage()
    with open(somebody.main) as file:
        good = file.read()
    path = os.path.join(host.root, "edge.j2")
    with open(path) as file:
        text = file.read()
    with open(f"{path}.new", "w") as file:
        file.write(f"{text}\nnonsense 7{';' if somebody.kind == 'nginx' else ''}\n")
    os.replace(f"{path}.new", path)
    wait_for(
        "it is refused",
        lambda: count(instance, "proxy-refused"),
        state=lambda: told(instance),
    )
    assert "nonsense" in told(instance)[-1]["reason"]
    with open(somebody.main) as file:
        assert file.read() == good
    assert ask(somebody.port) == (200, "hello")


def test_one_that_is_away_keeps_its_files_and_gets_the_change_when_it_is_back(
    host: Host, somebody: Somebody
) -> None:
    instance = somebody.manage()
    somebody.close()
    host.pillion("config", "set", "shop/greeting", "later")
    wait_for(
        "that it cannot be loaded is told",
        lambda: count(instance, "proxy-refused", "proxy-returned"),
        state=lambda: told(instance),
    )
    assert instance.component("app")["state"] == "running"
    with open(somebody.main) as file:
        text = file.read()
    assert "hello" in text or "later" in text
    somebody.start()
    serves(somebody, instance, "later")


@pytest.mark.parametrize("somebody", ["nginx"], indirect=True)
def test_what_their_killed_nginx_leaves_does_not_keep_it_from_starting(
    host: Host, somebody: Somebody
) -> None:
    instance = somebody.manage()
    proof = os.path.join(instance.runtime, "proxy-edge.proof")
    pids = [somebody.process.pid, *children(somebody.process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    somebody.process.wait(10)
    wait_for("its socket is removed", lambda: not os.path.exists(proof))
    somebody.start()
    serves(somebody, instance, "hello")
    assert os.path.exists(proof)


@pytest.mark.parametrize("somebody", ["nginx"], indirect=True)
def test_workers_that_outlive_their_master_keep_their_sockets(
    host: Host, somebody: Somebody
) -> None:
    instance = somebody.manage()
    proof = os.path.join(instance.runtime, "proxy-edge.proof")
    # One of the version before accepts, too, until it is told to finish.
    wait_for("one worker is left", lambda: len(children(somebody.process.pid)) == 1)
    workers = children(somebody.process.pid)
    somebody.process.kill()
    somebody.process.wait(10)
    assert ask(somebody.port) == (200, "hello")
    assert os.path.exists(proof)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_for("its socket is removed", lambda: not os.path.exists(proof))


@pytest.mark.parametrize("somebody", ["haproxy"], indirect=True)
def test_members_of_their_haproxy_come_and_go_without_a_load(
    host: Host, somebody: Somebody
) -> None:
    instance = somebody.manage()
    workers = children(somebody.process.pid)
    loads = count(instance, "proxy-applied")
    host.pillion("services", "register", "orders", "a", "--address", "127.0.0.1", "--port", "1")
    wait_for(
        "it is changed as it runs",
        lambda: count(instance, "proxy-changed"),
        state=lambda: told(instance),
    )
    with open(somebody.main) as file:
        assert "127.0.0.1:1 " in file.read()
    assert (children(somebody.process.pid), count(instance, "proxy-applied")) == (workers, loads)
