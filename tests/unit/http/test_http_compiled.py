"""The two speeds are what they claim to be, and every reader of header lines gives one answer."""

import importlib
import inspect
from types import ModuleType

import pytest
from two_codecs import BOTH, compiled, source

COMPILED = ["encode", "events", "framing", "head", "reader", "requests", "responses"]


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


@pytest.mark.parametrize("block", BLOCKS)
def test_readers_agree_on(block: bytes) -> None:
    answers = []
    for codec in BOTH.values():
        head = module(codec, "head")
        for reader in (head.read_by_byte, head.read_by_line):
            data = b"X" + block + b"rest\r\n"
            try:
                answers.append(("ok", reader(data, 1, 1 + len(block), 3).items))
            except codec.CodecError as error:
                answers.append(("refused", error.status))
    if not block:
        answers = answers[1::2]  # an empty block is the line reader's alone; nobody asks the other
    assert len({str(a) for a in answers}) == 1, answers
