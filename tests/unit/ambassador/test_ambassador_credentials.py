import base64

import pytest

from pillion.ambassador.credentials import Credentials, basic

TOKEN = "s3cret-token"


def basic_of(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "value",
    [
        b"Basic " + basic(TOKEN),
        b"basic " + basic(TOKEN),
        b"BASIC  " + basic(TOKEN),
        basic_of(f"someone:{TOKEN}"),
        basic_of(f":{TOKEN}"),
    ],
)
def test_the_token_lets_in(value: bytes) -> None:
    assert Credentials(TOKEN).check(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Basic",
        b"Basic !!!",
        b"Basic " + basic(TOKEN)[:-4],
        basic_of(TOKEN),
        basic_of(f"pillion:{TOKEN}x"),
        basic_of("pillion:"),
        b"Bearer " + TOKEN.encode(),
        b"Basic " + b"A" * 100_000,
        b"Basic \xff\xfe",
    ],
)
def test_anything_else_does_not(value: bytes | None) -> None:
    assert not Credentials(TOKEN).check(value)


@pytest.mark.parametrize("value", [b"", b"Basic ", basic_of("pillion:"), basic_of(":")])
def test_an_empty_token_fits_nothing(value: bytes) -> None:
    assert not Credentials("").check(value)
