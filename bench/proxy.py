"""What the proxies that are compared have in common: two ways in, one upstream, the same policies, and processes that cost.

The policies: kept connections to the upstream, 1 s to connect, 15 s for a try, 30 s for all, one retry of what could not be
sent, passive ejection where there is any, X-Forwarded-For, and one JSON record of each request in a file.
"""

from __future__ import annotations

import datetime
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import loading
from bench.api import request_bytes
from bench.proc import activity, rollup_kb
from bench.workbench import wait_for

if TYPE_CHECKING:
    from bench.workbench import Bench

CONNECT_S = 1
TRY_S = 15
TOTAL_S = 30
CONNECTIONS = 15_000


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server behind them all, and what the TLS listeners show."""

    port: int
    certificate: str
    key: str
    both: str


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: its ports, the processes whose CPU counts, and those of them whose memory does."""

    name: str
    plain: int
    tls: int
    pids: tuple[int, ...]
    memory: tuple[int, ...]

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return sum(activity(pid).cpu_ns for pid in self.pids) / 1e9

    def pss_mb(self) -> float:
        """Proportional memory in MiB (proc(5), smaps_rollup)."""
        return sum(rollup_kb(pid, "Pss") for pid in self.memory) / 1024

    def wait_for_answers(self) -> Proxy:
        """Return itself when both ways in answer connects."""
        for port in (self.plain, self.tls):
            wait_for(lambda port=port: connects(port), f"{self.name} listens on {port}")  # type: ignore[misc]
        return self


def start_upstream(bench: Bench, cpus: set[int], *, poll: bool = False) -> Upstream:
    """Start the upstream, and make a certificate. With `poll` it never sleeps, and nobody pays for waking it."""
    command = [bench.programs.serve, *(["poll"] if poll else [])]
    process = bench.spawn(command, stdout=subprocess.PIPE, cpus=cpus)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    folder = bench.fresh("c")
    certificate, key, both = f"{folder}/cert.pem", f"{folder}/key.pem", f"{folder}/both.pem"
    shown, secret = _certificate()
    for path, text in ((certificate, shown), (key, secret), (both, shown + secret)):
        with open(path, "wb") as file:
            file.write(text)
    return Upstream(port, certificate, key, both)


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def target(bench: Bench, port: int, path: str, *, tls: bool = False) -> loading.Target:
    """A GET with eight fields to a port."""
    kind = "tls" if tls else "tcp"
    return loading.target(bench, f"{kind}:{port}", request_bytes(path, "far.example.org"))


def connects(port: int) -> bool:
    """Whether anybody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _certificate() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "far.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("far.example.org")]), False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
