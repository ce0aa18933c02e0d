"""A receiver of OTLP over HTTP, as small as one can be: it counts what the sidecars ship, and remembers the ids of requests.

Any other receiver would do, such as an OpenTelemetry Collector; the demo brings its own, so that nothing need be installed for it.
"""

import gzip
import json
import re
import threading
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ACCESS = re.compile(r" HTTP/1\.1\" \d{3} .* id=([0-9-]+)")


class Collector:
    """What has arrived: log records by service, ids of the requests in access lines, the latest records of each service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: Counter[str] = Counter()
        self._ids: Counter[str] = Counter()
        self._latest: dict[str, deque[str]] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/logs":
                    collector._take(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """The demo has enough to show."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector")

    @property
    def url(self) -> str:
        """Where to ship."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was received can still be asked for."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def counts(self) -> dict[str, int]:
        """Records by service."""
        with self._lock:
            return dict(self._records)

    def ids(self) -> set[str]:
        """The requests whose access lines have arrived."""
        with self._lock:
            return set(self._ids)

    def duplicates(self) -> int:
        """Access lines that came more than once: at least once is the promise."""
        with self._lock:
            return sum(count - 1 for count in self._ids.values())

    def seen(self, service: str, text: str) -> bool:
        """Whether one of the latest records of a service contains `text`."""
        with self._lock:
            return any(text in record for record in self._latest.get(service, ()))

    def _take(self, request: dict[str, list[dict[str, object]]]) -> None:
        for resource in request.get("resourceLogs", []):
            attributes = resource["resource"]["attributes"]  # type: ignore[index]
            names = [one["value"].get("stringValue") for one in attributes if one["key"] == "service.name"]
            service = names[0] if names else "?"
            for scope in resource["scopeLogs"]:  # type: ignore[attr-defined]
                for record in scope["logRecords"]:
                    self._note(service, record)

    def _note(self, service: str, record: dict[str, object]) -> None:
        text = json.dumps(record.get("body"))
        plain = text.replace('\\"', '"')
        with self._lock:
            self._records[service] += 1
            self._latest.setdefault(service, deque(maxlen=50)).append(json.dumps(record))
            if found := _ACCESS.search(plain):
                self._ids[found[1]] += 1
