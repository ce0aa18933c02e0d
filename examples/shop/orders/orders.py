"""The shop's orders: keeps them in memory, and has billing charge each. Python's standard library alone.

PORT, SERVICE and BILLING_URL come from the environment, prices from the configuration (prices.py). It logs as Python programs do: plain lines with a level, tracebacks over several lines.
"""

import http.client
import itertools
import json
import logging
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from heartbeat import Heartbeat
from prices import Prices

log = logging.getLogger("orders")


class Declined(Exception):
    """Billing said no."""


class Book:
    """The orders taken, the latest thousand of them."""

    def __init__(self, service: str, billing: str, prices: Prices) -> None:
        self._service = service
        self._billing = urlsplit(billing)
        self._prices = prices
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._orders: dict[int, dict[str, object]] = {}

    def take(self, item: str, request_id: str) -> tuple[int, int]:
        """Charge, keep and number an order; return number and price. Raises Declined, OSError, KeyError."""
        cents = self._prices.cents(item)
        number = next(self._numbers)
        self._charge(number, cents, request_id)
        with self._lock:
            self._orders[number] = {"order": number, "item": item, "cents": cents}
            self._orders.pop(number - 1000, None)
        return number, cents

    def find(self, number: int) -> dict[str, object] | None:
        """The order with this number, if it is still kept."""
        with self._lock:
            return self._orders.get(number)

    def prices(self) -> dict[str, int]:
        """What things cost."""
        return self._prices.all()

    def _charge(self, number: int, cents: int, request_id: str) -> None:
        connection = http.client.HTTPConnection(self._billing.hostname or "", self._billing.port, timeout=5)
        try:
            # By the service's name, not by an address: whoever asks has somebody who knows where that is.
            confirm = f"http://{self._service}/orders/{number}"
            body = json.dumps({"order": number, "cents": cents, "confirm": confirm})
            connection.request("POST", "/charge", body, {"X-Request-Id": request_id})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        finally:
            connection.close()
        if answer.status == 402:
            raise Declined(json.loads(text)["error"])
        if answer.status != 200:
            raise OSError(f"billing answered {answer.status}: {text}")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    book: Book
    # Headers and body go out as one: two small writes would wait for the acknowledgement of the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Health, prices, and single orders."""
        if self.path == "/healthz":
            return self._answer(200, {"status": "ok"})
        if self.path == "/prices":
            # Who says it: there may be several of us.
            return self._answer(200, {"instance": os.environ.get("PILLION_INSTANCE", ""), "cents": self.book.prices()})
        number = self.path.removeprefix("/orders/")
        order = self.book.find(int(number)) if number.isdecimal() else None
        return self._answer(200 if order else 404, order or {"error": "no such order"})

    def do_POST(self) -> None:
        """A new order."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request_id = self.headers.get("X-Request-Id", "-")
        try:
            item = str(json.loads(body)["item"])
            number, cents = self.book.take(item, request_id)
        except Declined as no:
            log.warning("declined id=%s: %s", request_id, no)
            return self._answer(402, {"error": str(no)})
        except (ValueError, KeyError, OSError):
            log.exception("cannot take an order, id=%s", request_id)
            return self._answer(502, {"error": "billing is not there, or the order makes no sense"})
        log.info("order %d: %s for %.2f id=%s", number, item, cents / 100, request_id)
        return self._answer(201, {"order": number})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """An access line for everything but the health checks."""
        if self.path != "/healthz":
            log.debug('"%s" %s %s', self.requestline, code, size)


class Server(ThreadingHTTPServer):
    """The server, whose own loop beats: one that hangs falls silent."""

    # Kept-alive connections of the storefront must not hold the end back.
    daemon_threads = True
    heartbeat: Heartbeat

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever only looks whether the port is open is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionResetError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def service_actions(self) -> None:
        """Called by the loop at least every poll interval."""
        self.heartbeat.beat()


def main() -> int:
    """Serve until SIGTERM; what is under way is finished."""
    level = os.environ.get("LOG_LEVEL", "INFO")
    logging.basicConfig(stream=sys.stdout, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    prices = Prices()
    prices.follow()
    service = os.environ.get("SERVICE", "orders")
    Handler.book = Book(service, os.environ.get("BILLING_URL", "http://127.0.0.1:3002"), prices)
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "3001"))), Handler)
    server.heartbeat = Heartbeat()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("taking orders on port %d", server.server_port)
    server.heartbeat.ready()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    log.info("no more orders")
    return 0


if __name__ == "__main__":
    sys.exit(main())
