"""Every sort of probe against the real thing: node, listeners, a gRPC server, processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from concurrent import futures
from typing import TYPE_CHECKING

import pytest
import uvloop

from pillion.health.check import Check, Grpc, Http, Probe, Process, Tcp
from pillion.health.prober import Prober
from pillion.health.probes.grpc import MISSING
from pillion.health.result import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Answers by its path: a status, a redirect, a status with a body, silence, a body without end, half an answer.
NODE = r"""
const http = require('http');
const server = http.createServer((request, response) => {
  const [, what] = request.url.split('/');
  if (what === 'hang') return;
  if (what === 'endless') { const go = () => { while (response.write('x'.repeat(65536))); response.once('drain', go); }; return go(); }
  if (what === 'half') { response.writeHead(200, {'content-length': 100}); response.write('half'); return; }
  if (what === 'moved') { response.writeHead(302, {location: '/500'}); return response.end(); }
  if (what === 'echo') { response.writeHead(503); return response.end(JSON.stringify([request.method, request.headers])); }
  response.writeHead(Number(what));
  response.end('because of \u0000 the \u001b[31mdatabase');
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with subprocess.Popen(["node", "-e", NODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def attempt(probe: Probe, timeout_s: float = 5.0, *, app_runs: bool = True) -> Result:
    async def once() -> Result:
        prober = Prober(lambda: app_runs)
        return await prober.attempt(Check(name="it", probe=probe, timeout_s=timeout_s))

    return uvloop.run(once())


class TestHttp:
    @pytest.mark.parametrize(
        ("path", "verdict", "output"),
        [
            ("/200", Verdict.PASS, "200 OK"),
            ("/204", Verdict.PASS, "204 No Content"),
            ("/moved", Verdict.PASS, "302 Found"),
            ("/404", Verdict.FAIL, "404 Not Found\nbecause of \ufffd the \ufffd[31mdatabase"),
            ("/endless", Verdict.PASS, "200 OK"),
        ],
    )
    def test_answers(self, node: str, path: str, verdict: Verdict, output: str) -> None:
        result = attempt(Http(node + path))
        assert (result.verdict, result.output) == (verdict, output)

    @pytest.mark.parametrize("path", ["/hang", "/half"])
    def test_no_answer_is_bounded(self, node: str, path: str) -> None:
        result = attempt(Http(node + path), 0.3)
        assert not result.good
        assert "the total time is over" in result.output
        assert 0.25 <= result.duration_s < 20

    def test_what_passes_is_the_users_to_say(self, node: str) -> None:
        assert attempt(Http(node + "/404", statuses=((200, 299), (404, 404)))).good
        assert not attempt(Http(node + "/200", statuses=((204, 204),))).good

    def test_method_and_headers(self, node: str) -> None:
        result = attempt(Http(f"{node}/echo", "POST", (("Host", "shop.example"), ("X-Y", "z"))))
        assert '"host":"shop.example"' in result.output
        assert '"x-y":"z"' in result.output
        assert '"POST"' in result.output
        assert '"connection":"close"' in result.output

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("http://127.0.0.1:1/", "Connection refused"),
            ("http://no.such.host.invalid/", "cannot connect to no.such.host.invalid:80"),
            ("https://127.0.0.1:1/", "Connection refused"),
        ],
    )
    def test_nobody_there(self, url: str, said: str) -> None:
        result = attempt(Http(url))
        assert not result.good
        assert said in result.output

    def test_somebody_who_speaks_something_else(self) -> None:
        with served(b"SSH-2.0-OpenSSH\r\n") as port:
            result = attempt(Http(f"http://127.0.0.1:{port}/"))
        assert not result.good


@contextlib.contextmanager
def served(greeting: bytes) -> Iterator[int]:
    """A server that greets whoever comes and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(greeting)
                        connection.shutdown(socket.SHUT_WR)
                        connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class TestTcp:
    def test_a_listener(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            assert attempt(Tcp("127.0.0.1", port)).output == f"127.0.0.1:{port} accepts connections"

    def test_none(self) -> None:
        result = attempt(Tcp("127.0.0.1", 1))
        assert result.output == "cannot connect to 127.0.0.1:1: Connection refused"

    def test_a_name_that_nobody_knows(self) -> None:
        assert not attempt(Tcp("no.such.host.invalid", 80)).good

    def test_a_backlog_that_is_full(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            address = listener.getsockname()
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(address)
            result = attempt(Tcp(*address), 0.3)
            assert "not within 0.3 s" in result.output
            for one in waiting:
                one.close()


class TestProcess:
    @pytest.mark.parametrize("runs", [True, False])
    def test_the_app(self, runs: bool) -> None:
        assert attempt(Process(), app_runs=runs).good == runs

    def test_a_pid_file(self, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        path.write_text(f"{os.getpid()}\n")
        assert attempt(Process(str(path))).output == f"pid {os.getpid()} runs"

    def test_a_process_that_has_gone_and_one_that_is_a_zombie(self, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        with subprocess.Popen(["true"]) as ended:
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
            path.write_text(str(ended.pid))
            assert not attempt(Process(str(path))).good
        assert attempt(Process(str(path))).output == f"pid {ended.pid} of {path} does not run"

    @pytest.mark.parametrize("text", ["", "secret token", "-1", "1 2", "9" * 40, "²"])
    def test_what_is_no_pid_is_not_repeated(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "pid"
        path.write_text(text)
        result = attempt(Process(str(path)))
        assert result.output == f"cannot use {path}: there is no pid in it"

    def test_no_file(self, tmp_path: Path) -> None:
        result = attempt(Process(str(tmp_path / "none")))
        assert result.output.endswith("No such file or directory")

    def test_a_number_that_another_process_has_got(self, tmp_path: Path) -> None:
        from msgspec.structs import replace

        from pillion.health.probes.process import ProcessProbe

        path = tmp_path / "pid"
        path.write_text(str(os.getpid()))
        probe, target = ProcessProbe(), Process(str(path))
        assert probe.look("it", target).good
        probe._seen["it"] = replace(probe._seen["it"], started="1")
        assert probe.look("it", target).output.endswith("is another process by now")
        path.write_text(f"{os.getpid()}\n")
        os.utime(path, ns=(1, 1))
        assert probe.look("it", target).good  # written anew: meant anew


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    servicer = health.HealthServicer()
    states = health_pb2.HealthCheckResponse
    servicer.set("", states.SERVING)
    servicer.set("shop.v1.Orders", states.NOT_SERVING)
    servicer.set("shop.v1.Prices", states.SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


class TestGrpc:
    @pytest.mark.parametrize(
        ("service", "verdict", "output"),
        [
            ("", Verdict.PASS, "SERVING"),
            ("shop.v1.Prices", Verdict.PASS, "SERVING"),
            ("shop.v1.Orders", Verdict.FAIL, "NOT_SERVING"),
            ("nobody", Verdict.FAIL, "NOT_FOUND"),
        ],
    )
    def test_the_standard_protocol(
        self, server: str, service: str, verdict: Verdict, output: str
    ) -> None:
        result = attempt(Grpc(server, service))
        assert result.verdict is verdict
        assert result.output.startswith(output)

    def test_nobody_there(self) -> None:
        assert attempt(Grpc("127.0.0.1:1")).output.startswith("UNAVAILABLE: ")

    def test_a_listener_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            result = attempt(Grpc(f"127.0.0.1:{listener.getsockname()[1]}"), 0.5)
        assert not result.good
        assert result.duration_s < 20

    def test_without_the_library_it_says_what_to_install(self) -> None:
        code = (
            "import sys; sys.modules['grpc'] = None\n"
            "from pillion.health.probes.grpc import _ask\n"
            "from pillion.health.check import Grpc\n"
            "print(_ask(Grpc('127.0.0.1:1'), 1.0).output)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == MISSING

    def test_nothing_heavy_is_imported_before_the_first_such_check(self) -> None:
        code = (
            "import sys\nimport pillion.processes.agent_health\n"
            "print([m for m in ('grpc', 'google.protobuf', 'jsonschema') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
