"""The PROXY protocol, versions 1 and 2: whom a connection comes from, said before its first byte.

Whoever may write this header may claim any address, so that it is read only on listeners that were
told to expect it, and there it must come: a connection without it is refused. The specification
is HAProxy's `proxy-protocol.txt`; its sections are named below.
"""

import re
import socket
import struct
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""The twelve bytes that begin version 2 (section 2.2)."""

V1_BYTES: Final = 107
"""The longest line of version 1, CR and LF included (section 2.1)."""
V2_BYTES: Final = 4096
"""The longest body of version 2 that is read; the addresses take 216 at most, the rest is TLVs."""

_V1 = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f.:]{2,45}) ([0-9A-Fa-f.:]{2,45}) ([0-9]{1,5}) ([0-9]{1,5})"
    rb"|UNKNOWN(?: [^\r\n]*)?)"
)
_LOCAL = 0x20
_PROXY = 0x21
_ADDRESS_BYTES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_CRC32C = 0x03
_NOOP = 0x04


class ProxyProtocolError(ValueError):
    """The bytes are no PROXY header; the connection is closed without a word (section 2)."""


class Addresses(NamedTuple):
    """What a header says. Empty addresses (LOCAL, UNKNOWN, Unix sockets): those of the socket hold."""

    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0


UNKNOWN: Final = Addresses()


def read_header(data: bytes | bytearray) -> tuple[Addresses, int] | None:
    """Return what the header at the beginning of `data` says, and how many bytes it takes.

    None: it is not complete; call again with more. Never more than V2_BYTES + 16 are waited for.
    Raise ProxyProtocolError as soon as the bytes cannot become a header.
    """
    start = bytes(data[:16])
    if start.startswith(SIGNATURE):
        return _read_v2(data)
    if start[:6] == b"PROXY ":
        return _read_v1(data)
    if SIGNATURE.startswith(start[:12]) or b"PROXY ".startswith(start[:6]):
        return None
    raise ProxyProtocolError("cannot read the PROXY header: the connection begins with another")


def encode_v1(addresses: Addresses) -> bytes:
    """Return the line of version 1 (section 2.1); UNKNOWN where an address is missing."""
    families = _families(addresses)
    if families is None:
        return b"PROXY UNKNOWN\r\n"
    name, source, destination = families
    line = "PROXY {} {} {} {} {}\r\n".format(
        "TCP4" if name == socket.AF_INET else "TCP6",
        socket.inet_ntop(name, source),
        socket.inet_ntop(name, destination),
        addresses.source_port,
        addresses.destination_port,
    )
    return line.encode("ascii")


def encode_v2(addresses: Addresses) -> bytes:
    """Return the header of version 2 (section 2.2) without TLVs; LOCAL where an address is missing."""
    families = _families(addresses)
    if families is None:
        return SIGNATURE + b"\x20\x00\x00\x00"
    name, source, destination = families
    ports = struct.pack("!HH", addresses.source_port, addresses.destination_port)
    body = source + destination + ports
    family = 0x11 if name == socket.AF_INET else 0x21
    return SIGNATURE + struct.pack("!BBH", _PROXY, family, len(body)) + body


def _read_v1(data: bytes | bytearray) -> tuple[Addresses, int] | None:
    end = data.find(b"\r\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES or b"\n" in data:
            raise ProxyProtocolError(
                "cannot read the PROXY header: its line is too long, or not ended by CRLF"
            )
        return None
    match = _V1.fullmatch(bytes(data[:end]))
    if match is None:
        raise ProxyProtocolError("cannot read the PROXY header: invalid line of version 1")
    if match[1] is None:
        return UNKNOWN, end + 2
    family = socket.AF_INET if match[1] == b"TCP4" else socket.AF_INET6
    addresses = Addresses(
        _text(family, match[2]), _port(match[4]), _text(family, match[3]), _port(match[5])
    )
    return addresses, end + 2


def _read_v2(data: bytes | bytearray) -> tuple[Addresses, int] | None:
    if len(data) < 16:
        if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
            raise ProxyProtocolError("cannot read the PROXY header: invalid version or command")
        return None
    command, family, length = struct.unpack_from("!BBH", data, 12)
    if command not in (_LOCAL, _PROXY):
        raise ProxyProtocolError("cannot read the PROXY header: invalid version or command")
    if length > V2_BYTES:
        raise ProxyProtocolError(f"cannot read a PROXY header of more than {V2_BYTES} bytes")
    if len(data) < 16 + length:
        return None
    used = 16 + length
    header = bytes(data[:used])
    if command == _LOCAL or family == 0:
        return UNKNOWN, used  # a health check of the proxy itself: whatever follows is ignored
    size = _ADDRESS_BYTES.get(family)
    if size is None or size > length:
        raise ProxyProtocolError(
            "cannot read the PROXY header: invalid family, or too short for it"
        )
    _check_values(header, 16 + size)
    if family not in (0x11, 0x21):
        return UNKNOWN, used  # Unix sockets, datagrams: no address that a field could hold
    width = 4 if family == 0x11 else 16
    kind = socket.AF_INET if family == 0x11 else socket.AF_INET6
    ports = struct.unpack_from("!HH", header, 16 + 2 * width)
    return (
        Addresses(
            socket.inet_ntop(kind, header[16 : 16 + width]),
            ports[0],
            socket.inet_ntop(kind, header[16 + width : 16 + 2 * width]),
            ports[1],
        ),
        used,
    )


def _check_values(header: bytes, at: int) -> None:
    """Check the TLVs (section 2.2.1): their lengths, and the checksum where there is one."""
    while at < len(header):
        if len(header) - at < 3:
            raise ProxyProtocolError("cannot read the PROXY header: a value is cut off")
        kind, length = struct.unpack_from("!BH", header, at)
        at += 3
        if length > len(header) - at:
            raise ProxyProtocolError("cannot read the PROXY header: a value is cut off")
        if kind == _CRC32C:
            if length != 4:
                raise ProxyProtocolError("cannot read the PROXY header: invalid checksum")
            blank = header[:at] + b"\0\0\0\0" + header[at + 4 :]
            if crc32c(blank) != int.from_bytes(header[at : at + 4], "big"):
                raise ProxyProtocolError("cannot read the PROXY header: wrong checksum")
        at += length


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data` (RFC 3720 appendix B.4). A header is short: bit by bit will do."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _families(addresses: Addresses) -> tuple[socket.AddressFamily, bytes, bytes] | None:
    """Return one family that holds both addresses, and them in it; None when one is no address."""
    source, destination = _packed(addresses.source), _packed(addresses.destination)
    if source is None or destination is None:
        return None
    if len(source) == len(destination):
        return (socket.AF_INET if len(source) == 4 else socket.AF_INET6), source, destination
    return socket.AF_INET6, _mapped(source), _mapped(destination)


def _packed(address: str) -> bytes | None:
    bare = address.partition("%")[0]  # a scope means nothing on another host
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in bare else socket.AF_INET, bare)
    except OSError:
        return None


def _mapped(packed: bytes) -> bytes:
    return packed if len(packed) == 16 else b"\0" * 10 + b"\xff\xff" + packed


def _text(family: socket.AddressFamily, raw: bytes) -> str:
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, raw.decode("ascii")))
    except OSError:
        raise ProxyProtocolError("cannot read the PROXY header: invalid address") from None


def _port(raw: bytes) -> int:
    if int(raw) > 65535 or (raw.startswith(b"0") and raw != b"0"):
        raise ProxyProtocolError("cannot read the PROXY header: invalid port")
    return int(raw)
