"""A way in knows its own token, bounds the list, and believes nothing that is none."""

from __future__ import annotations

import pytest

from pillion.ambassador.conditions import Conditions
from pillion.ambassador.hops import MOST, continued, line_of, refusal, token_of

OURS = token_of("run", "upstream:orders")
OTHER = token_of("run", "proxy")


def tokens(count: int) -> bytes:
    return b", ".join(b"%08x" % number for number in range(count))


def test_a_token_is_of_one_way_in_of_one_run() -> None:
    found = {token_of(run, way) for run in ("a", "b") for way in ("proxy", "upstream:a", "inbound")}
    assert len(found) == 6
    assert token_of("a", "proxy") == token_of("a", "proxy")
    assert len(OURS) == 8
    assert int(OURS, 16) >= 0


@pytest.mark.parametrize(
    "value",
    [OURS, OTHER + b", " + OURS, OURS + b"," + OTHER, b"\t" + OURS + b" ,  " + OTHER],
)
def test_what_was_here_is_refused(value: bytes) -> None:
    answer = refusal(value, OURS)
    assert answer is not None
    assert (answer.code, answer.reason) == (508, "loop-detected")


def test_what_was_elsewhere_goes_on_up_to_the_bound() -> None:
    assert refusal(OTHER, OURS) is None
    assert continued(OTHER, OURS) == b"pillion-via: " + OTHER + b", " + OURS + b"\r\n"
    full = tokens(MOST - 1)
    assert refusal(full, OURS) is None
    assert continued(full, OURS).count(b",") == MOST - 1
    assert refusal(tokens(MOST), OURS) is not None
    assert refusal(tokens(MOST * 50), OURS) is not None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",",
        b"1.1 here",
        b"0123456",
        b"012345678",
        b"0123456G",
        b"ABCDEF01",
        b"\xff" * 8,
        OTHER + b",",
        OTHER + b" " + OTHER,
        b"," * 5000,
    ],
)
def test_what_is_no_list_of_tokens_is_not_sent_on(value: bytes) -> None:
    assert refusal(value, OURS) is None
    assert continued(value, OURS) == line_of(OURS)


def test_a_circle_is_no_failure_of_the_endpoint() -> None:
    named = Conditions(["connect", "reset", "timeout", "unavailable", "gateway", "5xx", "429"])
    assert not named.status(508)
    assert not named.matches("status", 508)
    assert named.status(507)
    assert named.status(509)
