"""What a user can say about shipping: to which OTLP receiver, how, and as what."""

from __future__ import annotations

from pillion.settings.headers import NAME_PATTERN, check_header_name, check_header_value
from pillion.settings.kinds import Choice, Text, Whole
from pillion.settings.quantities import Duration, Size
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.references import Url
from pillion.settings.shapes import Strmap, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_REFERENCE = "file:"
"""A header's value that begins with this names the file which holds it."""


def _check_header(text: str) -> None:
    check_header_name(text)
    if text.lower() in ("content-type", "content-encoding", "host"):
        raise ValueError("this header is Pillion's own")


def _check_header_value(text: str) -> None:
    check_header_value(text)
    if text.startswith(FILE_REFERENCE) and not text.startswith("file:/"):
        raise ValueError("a reference needs an absolute path: file:/run/secrets/token")


def _check_attribute(text: str) -> None:
    if not text or any(ord(c) < 33 for c in text):
        raise ValueError("an attribute's name is not empty and has no white space")


class Batch(Record):
    """How much goes into one request."""

    size_bytes: int = setting(
        Size(1 << 12, 64 << 20),
        "Bytes before compression after which a request is sent.",
        default=1 << 20,
        restart="shipper",
        also=("bytes",),
    )
    records: int = setting(
        Whole(1, 1000000),
        "Records after which a request is sent.",
        default=8192,
        restart="shipper",
        also=("count",),
    )
    wait_s: float = setting(
        Duration(0, 3600),
        "A record waits no longer than this for others.",
        default=1.0,
        restart="shipper",
        also=("timeout", "linger"),
    )


class Telemetry(Record):
    """Where logs and metrics are shipped."""

    otlp: str | None = setting(
        Url(),
        "The OTLP/HTTP receiver, without /v1/logs; without it nothing is shipped, and everything stays in the spool.",
        default=None,
        restart="shipper",
        example="http://127.0.0.1:4318",
        also=("endpoint", "url", "otlp_endpoint"),
    )
    protocol: str = setting(
        Choice(("http/protobuf", "http/json"), {"protobuf": "http/protobuf", "json": "http/json"}),
        "The encoding.",
        default="http/protobuf",
        restart="shipper",
    )
    compression: str = setting(
        Choice(("gzip", "none")), "The compression.", default="gzip", restart="shipper"
    )
    headers: Mapping[str, str] = setting(
        Strmap(
            'a table such as { authorization = "file:/run/secrets/otlp" }',
            Text(check=_check_header_value),
            key_pattern=NAME_PATTERN,
            check=_check_header,
        ),
        'Headers of each request. A value "file:/path" is read from that file, so that no secret need be in this one.',
        default=NOTHING,
        restart="shipper",
        example={"authorization": "file:/run/secrets/otlp"},
    )
    ca_file: str | None = setting(
        Text("a file's path", optional=True),
        "Certificates, in PEM, by which an https receiver is known; without it, the system's.",
        default=None,
        restart="shipper",
        example="/etc/ssl/receiver.pem",
        also=("ca", "cacert", "ca_cert", "certificate"),
    )
    interval_s: float = setting(
        Duration(0.1, 86400),
        "How often measurements are taken and shipped.",
        default=10.0,
        restart="shipper",
    )
    timeout_s: float = setting(
        Duration(0.1, 600), "How long one request may take.", default=10.0, restart="shipper"
    )
    batch: Batch = setting(
        Table(Batch()), "How much goes into one request.", default=Batch(), restart="shipper"
    )
    resource: Mapping[str, str] = setting(
        Strmap(
            'a table such as { "deployment.environment.name" = "production" }',
            Text(empty=True),
            key_pattern="^\\S+$",
            check=_check_attribute,
            numbers=True,
        ),
        "Further resource attributes of everything shipped.",
        default=NOTHING,
        restart="shipper",
        example={"deployment.environment.name": "production"},
        also=("attributes", "resource_attributes", "labels", "tags"),
    )
