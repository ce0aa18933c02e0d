"""A metadata service as each cloud runs it, with its rules about headers; and others that misbehave."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "AQAEA-token=="
SECRET = "s3cret"


class Service(BaseHTTPRequestHandler):
    """Answers what is asked for by the rules, and keeps what was asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        self.asked.append(f"PUT {self.path}")
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not ttl.isdigit() or self.forwarded:
            self.answer(400 if not self.forwarded else 403)
            return
        self.answer(200, TOKEN)

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        if self.forwarded:
            self.answer(403)
        elif self.path.startswith("/latest/"):
            self.aws()
        elif self.path.startswith("/computeMetadata/"):
            self.gcp()
        elif self.path.startswith("/metadata/"):
            self.azure()
        else:
            self.answer(404)

    @property
    def forwarded(self) -> bool:
        return "X-Forwarded-For" in self.headers

    def aws(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.answer(401)
        elif self.path == "/latest/dynamic/instance-identity/document":
            facts = {
                "accountId": "123456789012",
                "instanceId": "i-0abc",
                "instanceType": "t3.micro",
                "region": "eu-west-1",
                "availabilityZone": "eu-west-1b",
                "imageId": "ami-1",
                "billingProducts": None,
            }
            self.answer(200, json.dumps(facts))
        else:
            self.answer(200, SECRET)  # iam/security-credentials, user-data: nobody is to ask

    def gcp(self) -> None:
        flavor = {"Metadata-Flavor": "Google"}
        if self.headers.get("Metadata-Flavor") != "Google":
            self.answer(403, headers=flavor)
            return
        facts = {
            "project/project-id": "shop-123",
            "instance/id": "4520031799277581759",
            "instance/name": "shop-1",
            "instance/machine-type": "projects/1/machineTypes/e2-small",
            "instance/zone": "projects/1/zones/europe-west1-b",
        }
        text = facts.get(self.path.removeprefix("/computeMetadata/v1/"))
        self.answer(200 if text else 404, text or "", flavor)

    def azure(self) -> None:
        if self.headers.get("Metadata") != "true":
            self.answer(400)
            return
        if "api-version=" not in self.path:
            self.answer(400)
            return
        facts = {
            "vmId": "02aab8a4",
            "name": "shop-1",
            "vmSize": "Standard_B1s",
            "location": "westeurope",
            "zone": "",
            "subscriptionId": "sub-1",
            "offer": "debian-12",
            "sku": "12",
            "osProfile": {"adminUsername": SECRET},
            "publicKeys": [{"keyData": SECRET}],
            "userData": SECRET,
        }
        self.answer(200, json.dumps(facts))

    def answer(self, status: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its name there
        """Nothing."""


class Foreign(Service):
    """Something else on that address, which says yes to everything."""

    def do_PUT(self) -> None:
        self.answer(200, "a\nb")

    def do_GET(self) -> None:
        self.answer(200, "<html>welcome</html>")


class Huge(Service):
    """Never ends."""

    def do_PUT(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            return


@contextmanager
def serving(kind: type[Service] = Service) -> Iterator[str]:
    """Run one, and give its host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    Service.asked.clear()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
