"""What must hold for any bytes at all; an AssertionError, or anything but a refusal, is a finding.

Said of every input: it is read alike whole, split anywhere and byte by byte, compiled and
interpreted; what was accepted and is written again by our encoder reads back as the same; what is
sent on is one message without a field of the connection; and no more is kept than the limits allow.
"""

from types import ModuleType, SimpleNamespace
from typing import Any

from fuzz_reading import Reading, Way, pieces, single

WIDE = {"target_bytes": 1 << 16, "header_bytes": 1 << 20, "header_count": 1 << 12}

_ONE_CONNECTION = frozenset(
    b"""
    keep-alive proxy-connection proxy-authenticate proxy-authentication-info proxy-authorization
    content-length transfer-encoding http2-settings
    """.split()
)


class Codec:
    """Requests, or answers, through everything that reads and writes them."""

    def __init__(
        self, source: SimpleNamespace, installed: SimpleNamespace, *, answers: bool
    ) -> None:
        self.source = source
        self.installed = installed
        self.answers = answers

    def outcome(self, data: bytes) -> object:
        """Read `data` interpreted, and send it on; return what kind of thing was seen."""
        way = Way(answers=self.answers, control=data[:2].ljust(2, b"\0"))
        reading = way.read(self.source.codec, [data[2:]])
        for at, head in enumerate(reading.heads):
            self._write_again(way, reading, head, at)
            self._send_on(self.source, way, head)
        # Not to compare them (`check` does), but to see the ways that only pieces take.
        way.read(self.source.codec, single(data[2:]) if way.single else pieces(data[2:], 5))
        kinds = ("body" if isinstance(event, bytes) else event[0] for event in reading.events[:6])
        return (reading.error, *kinds)

    def check(self, data: bytes) -> None:
        """Hold every other way of reading `data` to the interpreted one."""
        way = Way(answers=self.answers, control=data[:2].ljust(2, b"\0"))
        data = data[2:]
        whole = way.read(self.source.codec, [data])
        for parts in (*(pieces(data, cuts) for cuts in (1, 3, 9)), single(data)):
            split = way.read(self.source.codec, parts)
            assert split.same_as(whole), f"split into {parts}: {split}, whole: {whole}"
            fast = way.read(self.installed.codec, parts)
            assert fast.same_as(split), f"{parts} compiled: {fast}, interpreted: {split}"
            assert fast.fed == split.fed, f"{parts} refused at {fast.fed}, interpreted {split.fed}"
        compiled = way.read(self.installed.codec, [data])
        assert compiled.same_as(whole), f"compiled: {compiled}, interpreted: {whole}"
        statuses = {reading.error[0] for reading in (compiled, whole) if reading.error}
        # With a line that is wrong and too many of them, one counts first and one looks first.
        assert len(statuses) < 2 or statuses == {400, 431}, (compiled, whole)
        for ours, theirs in zip(whole.heads, compiled.heads, strict=True):
            a, b = (self._send_on(*x) for x in ((self.source, way, ours), (self.installed, way, theirs)))  # fmt: skip
            assert a == b, f"sent on interpreted: {a!r}, compiled: {b!r}"

    def _write_again(self, way: Way, reading: Reading, head: Any, at: int) -> None:
        """What was accepted, encoded by us, is the same message again."""
        codec = self.source.codec
        begins = [i for i, e in enumerate(reading.events) if e[0] == "head"][at]
        body, trailers, complete = b"", (), False
        for event in reading.events[begins + 1 :]:
            if isinstance(event, bytes):
                body = event
            elif event[0] == "end":
                trailers, complete = event[1], True
                break
            else:
                break
        whole = getattr(head, "tunnel", False) or getattr(head, "informational", False)
        if not (complete or whole):
            return
        fields = [f for f in head.headers if f[0] not in (b"content-length", b"transfer-encoding")]
        length = head.length
        if self.answers:
            if head.status < 200 or head.status in (204, 304) or head.tunnel:
                length = codec.NONE
            wire = codec.encode_response_head(head.status, fields, length)
        else:
            if head.minor == 0 and b"host" not in head.headers:
                fields.insert(0, (b"host", head.authority or b"a"))
            if not length and b"content-length" not in head.headers:
                length = codec.NONE
            wire = codec.encode_request_head(head.method, head.target, fields, length)
        encoder = codec.BodyEncoder(length)
        middle = len(body) // 2
        wire += encoder.data(body[:middle]) + encoder.data(body[middle:])
        wire += encoder.end(trailers)
        again = Way(answers=self.answers, control=b"\0\0")
        again.method, again.upgrade, again.eof = way.method, way.upgrade, length == codec.CLOSE
        read = again.read(codec, [wire], WIDE)
        assert read.error is None, f"written again it is refused: {read.error}: {wire!r}"
        assert len(read.heads) == 1, f"written again it is {len(read.heads)} messages: {wire!r}"
        back = read.heads[0]
        said = [f for f in back.headers if f[0] not in (b"content-length", b"transfer-encoding")]
        assert said == fields, f"fields written again: {said}, before: {fields}"
        same = ["status", "tunnel", "informational"] if self.answers else ["method", "target"]
        if not self.answers:
            same += ["upgrade", "expect", "keep_alive", "authority"] if head.minor else ["upgrade"]
        for name in [*same, "length"]:
            one, other = getattr(head, name), getattr(back, name)
            assert one == other, f"{name} written again: {other!r}, before: {one!r}: {wire!r}"
        if complete and not (self.answers and head.informational):
            got = b"".join(e for e in read.events if isinstance(e, bytes))
            assert got == body, f"body written again: {got!r}, before: {body!r}"
            last = read.events[-1]
            assert last == ("end", trailers), f"trailers written again: {last}, before: {trailers}"

    def _send_on(self, world: SimpleNamespace, way: Way, head: Any) -> bytes | int:
        """What is sent on is one message, and holds nothing that was meant for one connection."""
        codec, fields = world.codec, world.fields
        try:
            if self.answers:
                block: bytes = fields.response_block(head)
            else:
                block = fields.request_block(
                    head, b"up", b"192.0.2.1", b"http", way.hops, way.forwarded, way.underscores
                )
        except codec.CodecError as error:
            return int(error.status)
        start = b"HTTP/1.1 200 OK\r\n" if self.answers else b"POST / HTTP/1.1\r\n"
        kept = self.answers and head.status in (101, 426)
        one = Way(answers=self.answers, control=b"\0\0")
        one.method = "GET"
        one.tunnels = False
        wire = start + block + b"content-length: 0\r\n\r\n"
        read = one.read(codec, [wire], WIDE)
        assert read.error is None, f"sent on it is refused: {read.error}: {wire!r}"
        shape = [e if isinstance(e, bytes) else e[0] for e in read.events]
        assert shape == ["head", "end"], f"sent on it is more than one message: {wire!r}"
        sent = read.heads[0].headers
        assert not _ONE_CONNECTION & {n for n, _ in sent} - {b"content-length"}, (
            f"sent on: {wire!r}"
        )
        assert len(sent.get_all(b"content-length")) == 1
        ours = set(sent.tokens(b"connection"))
        assert ours <= {b"te", b"upgrade"}, f"connection of ours: {wire!r}"
        assert (b"upgrade" in ours) == (b"upgrade" in sent), f"upgrade: {wire!r}"
        assert not self.answers or kept or not ours, f"upgrade sent on: {wire!r}"
        for name in set(head.headers.tokens(b"connection")) - ours - {b"close", b"connection"}:
            assert name not in sent, f"sent on though Connection names it: {name!r} in {wire!r}"
        if not self.answers:
            assert sent.get_all(b"host") == [b"up"], f"host: {wire!r}"
            assert (b"te" in ours) == (b"te" in sent), f"te: {wire!r}"
            for bit, name in ((1, b"x-forwarded-for"), (2, b"forwarded")):
                if way.forwarded & bit:
                    assert len(sent.get_all(name)) == 1, f"{name!r}: {wire!r}"
        return block


class Prelude:
    """Headers of the PROXY protocol."""

    def __init__(self, source: SimpleNamespace, installed: SimpleNamespace) -> None:
        self.source = source.proxy_protocol
        self.installed = installed.proxy_protocol

    def _say(self, module: ModuleType, data: bytes) -> Any:
        try:
            read = module.read_header(data)
        except module.ProxyProtocolError as error:
            return str(error)
        return None if read is None else (tuple(read[0]), read[1])

    def outcome(self, data: bytes) -> object:
        """Read `data` interpreted, and what it says written by us; return what kind it was."""
        module = self.source
        said = self._say(module, data)
        if said is None:
            begins = data.startswith(module.SIGNATURE)
            most = module.V2_BYTES + 16 if begins else module.V1_BYTES
            assert len(data) < most, f"waits for more than {most} bytes"
        elif not isinstance(said, str):
            addresses, used = module.Addresses(*said[0]), said[1]
            assert 0 < used <= len(data)
            for encode in (module.encode_v1, module.encode_v2):
                wire = encode(addresses)
                again = self._say(module, wire + b"rest")
                assert again == (tuple(addresses), len(wire)), f"written again: {again}: {wire!r}"
        return said if isinstance(said, str) else said is None

    def check(self, data: bytes) -> None:
        """Of a beginning the same is said as of the whole, or nothing yet; at both speeds."""
        whole = self._say(self.source, data)
        for end in range(len(data) + 1):
            for module in (self.source, self.installed):
                part = self._say(module, data[:end])
                refused = isinstance(part, str) and isinstance(whole, str)
                assert part is None or part == whole or refused, f"{data[:end]!r}: {part}, {whole}"
        assert self._say(self.installed, data) == whole
        if isinstance(whole, tuple):
            assert self._say(self.source, data[: whole[1]]) == whole
