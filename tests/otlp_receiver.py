"""An OTLP/HTTP receiver of logs and traces that can misbehave, for tests that need a real one at the other end.

    python tests/otlp_receiver.py --port 0 --out records.ndjson [--mode MODE] [--retry-after S] [--times N]

prints its port, and appends one line for each record of every request that it takes:

    {"run": "…", "stream": "stdout", "offset": 0, "body": "…", "severity": 9, "service": "shop", "scope": "pillion.app",
     "time_ns": 0, "observed_ns": 1, "attributes": {…}}

and to <out>.spans, for what comes to /v1/traces, one line for each span:

    {"run": "…", "offset": 0, "trace_id": "…", "span_id": "…", "parent_id": "", "name": "GET", "kind": 3, "start_ns": 1,
     "end_ns": 2, "status": 0, "message": "", "flags": 1, "service": "shop", "scope": "…", "attributes": {…}}

It decodes with the official classes (opentelemetry-proto), protobuf and JSON, gzip or not. MODE is how it answers:

    ok            200, and the records are written
    503, 429, …   that status; with --retry-after, that header
    hang          reads the request and never answers
    unread        reads the head and nothing more, so that the sender's socket fills
    reset         closes the connection after the request
    partial:N     200, with a partial_success that rejects N records (all are written nevertheless)

--times N misbehaves N times, then is ok. The mode can be changed while it runs: POST /control with
{"mode": "503", "times": 3, "retry_after": "1"}; GET /control tells {"requests": …, "records": …, "refused": …}.
--count only counts requests and bytes, without decoding: for throughput. In a test: `with Receiver(path) as receiver:`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

_encoder = msgspec.json.Encoder()


class State:
    """How it answers, what it has counted, and where records go."""

    def __init__(
        self, out: str | None, mode: str, times: int | None, retry_after: str | None, count: bool
    ) -> None:
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.out = open(out, "ab", buffering=0) if out else None  # noqa: SIM115 # for the whole run
        self.out_spans = open(f"{out}.spans", "ab", buffering=0) if out else None  # noqa: SIM115 # likewise
        self.mode = mode
        self.times = times
        self.retry_after = retry_after
        self.count = count
        self.requests = self.records = self.spans = self.refused = self.bytes = 0

    def next_mode(self) -> tuple[str, str | None]:
        with self.lock:
            self.requests += 1
            if self.mode != "ok" and self.times is not None:
                if self.times == 0:
                    self.mode = "ok"
                else:
                    self.times -= 1
            if self.mode != "ok":
                self.refused += 1
            return self.mode, self.retry_after

    def take(self, request: ExportLogsServiceRequest) -> None:
        records = records_of(request)
        lines = _encoder.encode_lines(records)
        with self.lock:
            if self.out is not None and records:
                self.out.write(lines)
            self.records += len(records)

    def take_spans(self, request: ExportTraceServiceRequest) -> None:
        spans = spans_of(request)
        lines = _encoder.encode_lines(spans)
        with self.lock:
            if self.out_spans is not None and spans:
                self.out_spans.write(lines)
            self.spans += len(spans)


def value_of(value: Any) -> Any:
    """An AnyValue as a plain value."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: value_of(one.value) for one in value.kvlist_value.values}
    plain = getattr(value, kind)
    return plain.hex() if isinstance(plain, bytes) else plain


def records_of(request: ExportLogsServiceRequest) -> list[dict[str, Any]]:
    """Every record of a request as it goes to the file."""
    found = []
    for of_resource in request.resource_logs:
        resource = {one.key: value_of(one.value) for one in of_resource.resource.attributes}
        service = resource.get("service.name")
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope.name
            for record in of_scope.log_records:
                attributes = {one.key: value_of(one.value) for one in record.attributes}
                found.append(
                    {
                        "run": attributes.pop("pillion.run", None),
                        "stream": attributes.pop("pillion.stream", None),
                        "offset": attributes.pop("pillion.offset", None),
                        "body": value_of(record.body),
                        "severity": record.severity_number,
                        "level": record.severity_text,
                        "time_ns": record.time_unix_nano,
                        "observed_ns": record.observed_time_unix_nano,
                        "trace_id": record.trace_id.hex(),
                        "span_id": record.span_id.hex(),
                        "service": service,
                        "scope": scope,
                        "attributes": attributes,
                        "resource": resource,
                    }
                )
    return found


def spans_of(request: ExportTraceServiceRequest) -> list[dict[str, Any]]:
    """Every span of a request as it goes to the file."""
    found = []
    for of_resource in request.resource_spans:
        resource = {one.key: value_of(one.value) for one in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                attributes = {one.key: value_of(one.value) for one in span.attributes}
                found.append(
                    {
                        "run": attributes.get("pillion.run"),
                        "offset": attributes.get("pillion.offset"),
                        "trace_id": span.trace_id.hex(),
                        "span_id": span.span_id.hex(),
                        "parent_id": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "start_ns": span.start_time_unix_nano,
                        "end_ns": span.end_time_unix_nano,
                        "status": span.status.code,
                        "message": span.status.message,
                        "flags": span.flags,
                        "service": resource.get("service.name"),
                        "scope": of_scope.scope.name,
                        "attributes": attributes,
                        "resource": resource,
                    }
                )
    return found


def decode(body: bytes, content_type: str) -> ExportLogsServiceRequest:
    """A request of logs from its body."""
    request = ExportLogsServiceRequest()
    _decode(body, content_type, request, ("resourceLogs", "scopeLogs", "logRecords"))
    return request


def decode_spans(body: bytes, content_type: str) -> ExportTraceServiceRequest:
    """A request of traces from its body."""
    request = ExportTraceServiceRequest()
    _decode(body, content_type, request, ("resourceSpans", "scopeSpans", "spans"))
    return request


def _decode(body: bytes, content_type: str, request: Any, names: tuple[str, str, str]) -> None:
    if not content_type.startswith("application/json"):
        request.ParseFromString(body)
        return
    # OTLP's JSON has ids in hexadecimal, protobuf's own in base64.
    plain = json.loads(body)
    of_resources, of_scopes, of_records = names
    for of_resource in plain.get(of_resources, []):
        for of_scope in of_resource.get(of_scopes, []):
            for record in of_scope.get(of_records, []):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in record:
                        record[name] = _base64(bytes.fromhex(record[name]))
    json_format.ParseDict(plain, request)


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class names it
        """Say nothing."""

    def do_GET(self) -> None:
        state = self.state
        counted = {
            name: getattr(state, name)
            for name in ("requests", "records", "spans", "refused", "bytes")
        }
        self._answer(200, json.dumps(counted).encode(), "application/json")

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        if self.path == "/control":
            wanted = json.loads(self.rfile.read(size))
            with self.state.lock:
                self.state.mode = wanted.get("mode", "ok")
                self.state.times = wanted.get("times")
                self.state.retry_after = wanted.get("retry_after")
            self.state.released.set()
            self.state.released = threading.Event()
            self._answer(200, b"{}", "application/json")
            return
        mode, retry_after = self.state.next_mode()
        if mode == "unread":
            self.state.released.wait(60)
            self.close_connection = True
            return
        body = self.rfile.read(size)
        self.state.bytes += len(body)
        if mode == "hang":
            self.state.released.wait(60)
            self.close_connection = True
        elif mode == "reset":
            self.close_connection = True
        elif mode == "ok" or mode.startswith("partial"):
            self._take(body, mode)
        else:
            headers = {} if retry_after is None else {"Retry-After": retry_after}
            self._answer(int(mode), b"not now", "text/plain", headers)

    def _take(self, body: bytes, mode: str) -> None:
        content_type = self.headers.get("content-type", "")
        traces = self.path.endswith("/v1/traces")
        if not self.state.count:
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if traces:
                self.state.take_spans(decode_spans(body, content_type))
            else:
                self.state.take(decode(body, content_type))
        response = ExportTraceServiceResponse() if traces else ExportLogsServiceResponse()
        if mode.startswith("partial"):
            rejected = int(mode.partition(":")[2])
            if isinstance(response, ExportTraceServiceResponse):
                response.partial_success.rejected_spans = rejected
            else:
                response.partial_success.rejected_log_records = rejected
            response.partial_success.error_message = "too old"
        if content_type.startswith("application/json"):
            answer = json_format.MessageToJson(response).encode()
        else:
            answer = response.SerializeToString()
        self._answer(200, answer, content_type)

    def _answer(
        self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here."""


class Receiver:
    """The receiver as a process of its own, for tests. `start` and `stop` may alternate: the port stays."""

    def __init__(self, out: str, *arguments: str) -> None:
        self.out = out
        self.port = 0
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                os.path.abspath(__file__),
                "--port",
                str(self.port),
                "--out",
                self.out,
                *self._arguments,
            ],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def set(self, mode: str, *, times: int | None = None, retry_after: str | None = None) -> None:
        body = json.dumps({"mode": mode, "times": times, "retry_after": retry_after})
        self._control("POST", body)

    def counts(self) -> dict[str, int]:
        counted: dict[str, int] = json.loads(self._control("GET", None))
        return counted

    def records(self) -> list[dict[str, Any]]:
        """What has been received so far, in order of arrival."""
        return self._lines(self.out)

    def spans(self) -> list[dict[str, Any]]:
        """The spans that have been received so far, in order of arrival."""
        return self._lines(f"{self.out}.spans")

    def _lines(self, path: str) -> list[dict[str, Any]]:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            # The last line may be in the middle of being written.
            return [msgspec.json.decode(line) for line in file.read().split("\n")[:-1]]
        return []

    def _control(self, method: str, body: str | None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, "/control", body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--mode", default="ok")
    parser.add_argument("--times", type=int)
    parser.add_argument("--retry-after")
    parser.add_argument("--count", action="store_true")
    given = parser.parse_args()
    Handler.state = State(given.out, given.mode, given.times, given.retry_after, given.count)
    with Server((given.host, given.port), Handler) as server:
        print(server.server_address[1], flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
