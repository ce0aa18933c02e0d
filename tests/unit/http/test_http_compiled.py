"""The two speeds are what they claim to be, and every reader of header lines gives one answer."""

import importlib
import inspect
from types import ModuleType

import pytest
from two_codecs import BOTH, compiled, source

COMPILED = [
    "block",
    "encode",
    "events",
    "framing",
    "head",
    "names",
    "reader",
    "requests",
    "responses",
]


def module(codec: ModuleType, name: str) -> ModuleType:
    return importlib.import_module(f"{codec.__name__}.{name}")


@pytest.mark.parametrize("name", COMPILED)
def test_the_installed_codec_is_compiled(name: str) -> None:
    assert module(compiled, name).__file__.endswith(".so"), "run make build"


@pytest.mark.parametrize("name", COMPILED)
def test_the_source_is_interpreted(name: str) -> None:
    assert module(source, name).__file__.endswith(".py")


def test_compiled_classes_are_c_types_and_interpreted_ones_are_not() -> None:
    assert not inspect.isfunction(compiled.RequestParser.next_event)
    assert inspect.isfunction(source.RequestParser.next_event)
    assert module(compiled, "head").COMPILED
    assert not module(source, "head").COMPILED


BLOCKS = [
    b"",
    b"a: b\r\n",
    b"A:b\r\nHost: x\r\n",
    b"a:\r\n",
    b"a: \t \r\n",
    b"a: \t b c \t\r\n",
    b"a: b\r\na: c\r\n",
    b"a: \xff\xfe\r\n",
    b"a: b",
    b"a: b\r",
    b"a: b\n",
    b"a: b\r\nc",
    b"a : b\r\n",
    b": b\r\n",
    b" a: b\r\n",
    b"a: b\r\n c\r\n",
    b"a: b\rc\r\n",
    b"a: b\nc: d\r\n",
    b"a: b\x00\r\n",
    b"a: b\x7f\r\n",
    b"a\x00: b\r\n",
    b"a\r\n",
    b"a(b: c\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"a: b\r\r\n",
    b"a\xe4: b\r\n",
    b"a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n",
]


def by_line(codec: ModuleType, block: bytes) -> str:
    """What the reader by line answers, which is asked whatever the other one leaves."""
    data = b"X" + block + b"\r\n"
    try:
        return str(module(codec, "head").read_by_line(data, 1, 1 + len(block), 3).items)
    except codec.CodecError as error:
        return f"refused: {error.status}"


def by_byte(codec: ModuleType, block: bytes, shape: object) -> str | None:
    """What the reader by byte answers; None where it leaves the block to the other one."""
    # In C there is a zero behind all bytes; interpreted it must be said.
    data = b"X" + block + b"\r\n\0"
    found = module(codec, "head").fields_by_byte(data, 1, 3, shape)
    return None if found is None or found.end != 1 + len(block) else str(found.items)


@pytest.mark.parametrize("block", BLOCKS)
def test_readers_agree_on(block: bytes) -> None:
    answers = {by_line(codec, block) for codec in BOTH.values()}
    assert len(answers) == 1
    answer = answers.pop()
    for codec in BOTH.values():
        # Whatever the message before was like, and the same message again.
        for before in BLOCKS:
            shape = module(codec, "head").Shape()
            by_byte(codec, before, shape)
            for _ in range(2):
                found = by_byte(codec, block, shape)
                assert found == (None if answer.startswith("refused") else answer), before


def test_a_name_is_the_same_field_however_it_is_spelled() -> None:
    for codec in BOTH.values():
        names = module(codec, "names")
        for spelled in (b"Host", b"host", b"HOST", b"hOsT"):
            headers = module(codec, "head").read_by_line(b"%b: x\r\n" % spelled, 0, 9, 3)
            assert headers.known(names.HOST) == b"x"
            found = module(codec, "head").fields_by_byte(b"%b: x\r\n\r\n" % spelled, 0, 3, None)
            assert found.known(names.HOST) == b"x"


def test_what_frames_a_message_and_stands_there_twice_is_noticed_however_it_is_spelled() -> None:
    block = b"Content-Length: 1\r\nCONTENT-LENGTH: 2\r\n"
    for codec in BOTH.values():
        head, framing = module(codec, "head"), module(codec, "framing")
        for headers in (
            head.read_by_line(block, 0, len(block), 3),
            head.fields_by_byte(block + b"\r\n", 0, 3, None),
            codec.Headers([(b"content-length", b"1"), (b"content-length", b"2")]),
        ):
            with pytest.raises(codec.CodecError, match="content-length occurs twice"):
                framing.refuse_repeats(headers)
            assert headers.get(b"content-length") == b"1, 2"
            assert headers.known(module(codec, "names").CONTENT_LENGTH) == b"1, 2"
