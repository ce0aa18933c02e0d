# cython: annotation_typing=False, auto_pickle=False
"""Names of header fields, each made once: to compare, to ask for and to write a usual name costs no look-up and no copy."""

from typing import Final

from .grammar import KNOWN

HOST: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
CONNECTION: Final = 4
UPGRADE: Final = 5
EXPECT: Final = 6
TE: Final = 7
TRAILER: Final = 8
TRACEPARENT: Final = 9
TRACESTATE: Final = 10
PILLION_VIA: Final = 11
ACCEPT: Final = 12
AUTHORIZATION: Final = 13
IF_NONE_MATCH: Final = 14

_NUMBERED = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"upgrade",
    b"expect",
    b"te",
    b"trailer",
    b"traceparent",
    b"tracestate",
    b"pillion-via",
    b"accept",
    b"authorization",
    b"if-none-match",
)
# Not usual, but somebody on the way treats them in a way of their own.
_TREATED = b"""
content_length http2-settings proxy-authentication-info transfer_encoding x-forwarded-by x-forwarded-port
x-forwarded-prefix x-forwarded-scheme x-forwarded-server x-forwarded-ssl x_forwarded_for x_forwarded_host
x_forwarded_proto x_real_ip
""".split()

FRAMING: Final = 1 << HOST | 1 << CONTENT_LENGTH | 1 << TRANSFER_ENCODING
"""The bits of the fields that route or frame a message, and must not stand there twice."""


class Field:
    """The name of a field: `name` in lower case, `line` as it is written behind another one.

    `number` is one of the constants here, or another one below 256 for other usual names, or 0 for the rest.
    """

    __slots__ = ("line", "name", "number")

    def __init__(self, name: bytes, number: int) -> None:
        self.name = name
        self.number = number
        self.line = b"\r\n%b: " % name

    def __repr__(self) -> str:
        return f"Field({self.name!r})"


def _usual() -> dict[bytes, Field]:
    fields: dict[bytes, Field] = {}
    for name in (*_NUMBERED, *sorted(set(KNOWN.values()) - set(_NUMBERED)), *_TREATED):
        fields[name] = Field(name, len(fields) + 1)
    return fields


FIELDS: dict[bytes, Field] = _usual()
"""The usual names by their lower case, and by how they are spelled on the wire."""
USUAL: Final = len(FIELDS) + 1
"""All numbers are below this."""
for _spelled, _name in KNOWN.items():
    FIELDS[_spelled] = FIELDS[_name]


def field_of(name: bytes) -> Field:
    """Return the field of a name in lower case, or in a usual spelling."""
    field = FIELDS.get(name)
    return Field(name, 0) if field is None else field
