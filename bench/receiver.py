"""The sink as a process, and what it has kept decoded by OTLP's official classes: the proof of what arrived."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workbench import Bench

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_NUMBER = re.compile(r" n=(\d+) ")


class Receiver:
    """`bench.sink`, started; with `keep` it stores every body."""

    def __init__(self, bench: Bench, *, keep: bool = False, cpus: set[int] | None = None) -> None:
        self._kept = f"{bench.fresh('sink')}/bodies" if keep else None
        self.process = bench.spawn(
            [sys.executable, "-m", "bench.sink", *(["--keep", self._kept] if self._kept else [])],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            cpus=cpus,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        """What `telemetry.otlp` is set to."""
        return f"http://127.0.0.1:{self.port}"

    def numbers(self) -> list[int]:
        """The numbers of the writer's lines that arrived, in order of arrival; its plain ones, not those in JSON."""
        return [int(found[1]) for body in self.bodies() if (found := _NUMBER.search(body))]

    def counts(self) -> dict[str, int]:
        """Requests, bytes, and when the first and the last came (CLOCK_MONOTONIC, ns)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/")
            found: dict[str, int] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def bodies(self) -> Iterator[str]:
        """The text of every record received."""
        assert self._kept is not None
        with open(self._kept, "rb") as file:
            while line := file.readline():
                size, kind, encoding = line.decode().split()
                body = file.read(int(size))
                if encoding == "gzip":
                    body = gzip.decompress(body)
                yield from _json(body) if kind == "application/json" else _protobuf(body)


def _protobuf(body: bytes) -> Iterator[str]:
    request = ExportLogsServiceRequest()
    request.ParseFromString(body)
    for of_resource in request.resource_logs:
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                yield record.body.string_value


def _json(body: bytes) -> Iterator[str]:
    for of_resource in json.loads(body)["resourceLogs"]:
        for of_scope in of_resource["scopeLogs"]:
            for record in of_scope["logRecords"]:
                yield record["body"].get("stringValue", "")
