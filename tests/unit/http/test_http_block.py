"""A block gives back what was put into it, in its order, compiled and interpreted, however large it gets."""

from importlib import import_module
from typing import Any

import pytest
from two_codecs import BOTH


@pytest.fixture(params=BOTH.values(), ids=BOTH.keys())
def block(request: pytest.FixtureRequest) -> Any:
    return import_module(f"{request.param.__name__}.block").Block()


def test_pieces_stand_in_their_order(block: Any) -> None:
    block.put(b"GET ")
    block.put_ascii("/a")
    block.put(b"")
    block.put_latin("\xe9\xff")
    assert block.size == 8
    assert block.take() == b"GET /a\xe9\xff"
    assert block.size == 0
    assert block.take() == b""


def test_what_is_cleared_is_gone(block: Any) -> None:
    block.put(b"abc")
    block.clear()
    block.put(b"d")
    assert block.take() == b"d"


@pytest.mark.parametrize("number", [0, 7, 10, 99, 100, 65536, 10**9, 2**63])
def test_numbers(block: Any, number: int) -> None:
    block.put_number(number)
    assert block.take() == str(number).encode()


def test_digits_have_zeros_before_them(block: Any) -> None:
    block.put_digits(0, 3)
    block.put_digits(42, 6)
    block.put_digits(999, 3)
    assert block.take() == b"000000042999"


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 65537, 1 << 20])
def test_it_grows_and_forgets_how_large_it_was(block: Any, size: int) -> None:
    for _ in range(2):
        block.put(b"x" * size)
        block.put_number(size)
        block.put_latin("y" * size)
        assert block.take() == b"x" * size + str(size).encode() + b"y" * size


def test_a_text_that_is_no_ascii_is_refused(block: Any) -> None:
    with pytest.raises(ValueError, match="not ASCII"):
        block.put_ascii("\xe9")
    with pytest.raises(ValueError, match=r"255|latin"):
        block.put_latin("\u20ac")
    assert block.take() == b""
