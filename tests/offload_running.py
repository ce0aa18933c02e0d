"""A real nginx with the configuration of the offload, its socket bound by us as the keeper does, and a small app behind it."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Self

from instance import wait_for
from pillion.proxies.offload.build import NginxBuild, read_build
from pillion.proxies.offload.configuration import MAIN, render
from pillion.proxies.offload.facts import OffloadFacts
from pillion.proxies.templating.facts import Facts
from pillion.settings.offload import Offload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


def build() -> NginxBuild:
    """What the installed nginx can do."""
    said = subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True, timeout=10)
    return read_build(said.stderr)


def as_user() -> str | None:
    """As whom workers run: without root, as we do."""
    return "www-data" if os.geteuid() == 0 else None


class Seen:
    """A request as the app saw it."""

    def __init__(self, line: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.method, self.target, _ = line.split(" ", 2)
        self.headers = headers
        self.body = body

    def get(self, name: str) -> str | None:
        """The one value of that header; an assertion when there are several."""
        found = [value for one, value in self.headers if one.lower() == name.lower()]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


class App:
    """An app that keeps what it saw, and answers what the test says, bytes as they are."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.answer: Callable[[Seen, socket.socket], None] = lambda _seen, peer: peer.sendall(
            answer(200, b"app")
        )
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._peers: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        self.open()

    def open(self) -> None:
        """Serve."""
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()

    def away(self) -> None:
        """Listen no more: who connects is refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def back(self) -> None:
        """Listen again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.open()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.add(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with peer, peer.makefile("rb") as file:
                while line := file.readline():
                    headers = []
                    while (field := file.readline()) not in (b"\r\n", b""):
                        name, _, value = field.decode("latin-1").partition(":")
                        headers.append((name, value.strip()))
                    length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
                    seen = Seen(line.decode("latin-1"), headers, file.read(length))
                    self.seen.append(seen)
                    self.answer(seen, peer)
        except OSError:
            pass
        finally:
            self._peers.discard(peer)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer's bytes; `_` in a header's name is `-`."""
    fields = {"content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Answer:
    """An answer as the client got it."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def get(self, name: str) -> str | None:
        """The one value of that header; an assertion when there are several."""
        found = self.headers.get_all(name) or []
        assert len(found) < 2, f"{name}: {found}"
        return found[0] if found else None


class Offloaded:
    """An app with nginx in front; `root` is served, `private` is protected when the settings say so."""

    def __init__(
        self,
        *,
        listen: str = "127.0.0.1:0",
        app: App | None = None,
        hops: int = 0,
        forwarded: tuple[str, ...] = ("x-forwarded",),
        **settings: object,
    ) -> None:
        self.base = tempfile.mkdtemp(prefix="pillion-offload-")
        # Workers that are not root must be able to come here.
        os.chmod(self.base, 0o755)
        self.root = os.path.join(self.base, "public")
        self.private = os.path.join(self.base, "private")
        self.state = os.path.join(self.base, "state")
        self.directory = os.path.join(self.state, "conf")
        for path in (self.root, self.private, self.directory, *self._places()):
            os.makedirs(path)
        self.app = app or App()
        self._owns_app = app is None
        host, _, port = listen.rpartition(":")
        self.listener = socket.create_server((host, int(port)), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.hops, self.forwarded = hops, forwarded
        self.settings: dict[str, object] = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""

    def _places(self) -> tuple[str, ...]:
        return tuple(
            os.path.join(self.state, one) for one in ("temporary", "cache", "gate", "compressed")
        )

    @property
    def facts(self) -> OffloadFacts:
        """As the manager would say them."""
        return OffloadFacts(
            facts=Facts(
                name="offload",
                kind="nginx",
                directory=self.directory,
                runtime_dir=self.base,
                state_dir=self.base,
                service="shop",
                instance="shop",
                proof_path=os.path.join(self.base, "proof"),
            ),
            listen=f"127.0.0.1:{self.port}",
            target=f"127.0.0.1:{self.app.port}",
            build=build(),
            user=as_user(),
            workers=1,
            open_files=1024,
            hops=self.hops,
            forwarded=self.forwarded,
        )

    def put(self, path: str, data: bytes = b"", *, root: str | None = None) -> str:
        """A file below the root."""
        full = os.path.join(root or self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)
        return full

    def write(self) -> None:
        """The configuration as the settings are now."""
        rendered = render(Offload(**({"root": self.root} | self.settings)), self.facts)  # type: ignore[arg-type]
        self.version = rendered.version
        with open(os.path.join(self.directory, MAIN), "w") as file:
            file.write(rendered.files[0].text)

    def start(self) -> Self:
        """Write the configuration and start nginx on our socket."""
        self.write()
        os.set_inheritable(self.listener.fileno(), True)
        with open(os.path.join(self.base, "output"), "ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdout=output,
                stderr=output,
                pass_fds=(self.listener.fileno(),),
                env={**os.environ, "NGINX": f"{self.listener.fileno()};"},
                start_new_session=True,
            )
        wait_for(
            "nginx tells its version", lambda: self.serving() == self.version, state=self.output
        )
        return self

    def command(self, *more: str) -> list[str]:
        """The command line."""
        return [
            NGINX,
            *more,
            "-c",
            f"{self.directory}/{MAIN}",
            "-p",
            f"{self.directory}/",
            "-e",
            "stderr",
            "-g",
            f"daemon off; pid {self.base}/nginx.pid;",
        ]

    def serving(self) -> str | None:
        """The version that it tells."""
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(5)
                peer.connect(os.path.join(self.base, "proof"))
                peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
                data = b"".join(iter(lambda: peer.recv(4096), b""))
        except OSError:
            return None
        return data.rpartition(b"\r\n\r\n")[2].decode().strip()

    def output(self) -> str:
        """What nginx has written."""
        with open(os.path.join(self.base, "output"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            client.putrequest(
                method, target, skip_accept_encoding=True, skip_host="Host" in (headers or {})
            )
            for name, value in (headers or {}).items():
                client.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                client.putheader("Content-Length", str(len(body)))
            client.endheaders(body)
            return Answer(client.getresponse())
        finally:
            client.close()

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes, until nginx closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as peer:
            peer.sendall(data)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    def get_raw(self, target: str | bytes, *fields: str) -> bytes:
        """The answer to a GET of a target that no client would send."""
        raw = target if isinstance(target, bytes) else target.encode("latin-1")
        lines = "".join(f"{one}\r\n" for one in (*fields, "Host: shop", "Connection: close"))
        return self.raw(b"GET " + raw + b" HTTP/1.1\r\n" + lines.encode("latin-1") + b"\r\n")

    def close(self) -> None:
        """End nginx and the app, and remove everything."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self.listener.close()
        if self._owns_app:
            self.app.away()
        shutil.rmtree(self.base)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def worker_account() -> pwd.struct_passwd:
    """The account of the workers."""
    return pwd.getpwnam(as_user() or pwd.getpwuid(os.geteuid()).pw_name)
