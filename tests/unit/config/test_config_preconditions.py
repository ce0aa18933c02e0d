"""Compare-and-set as HTTP says it."""

from __future__ import annotations

import pytest

from pillion.config.preconditions import Precondition, read_precondition, tags, weakly_listed
from pillion.errors import UsageError

TAG = b'"service:17"'


def test_nothing_sent_always_holds() -> None:
    wanted = read_precondition(None, None)
    assert wanted.absent
    assert wanted.holds(TAG)
    assert wanted.holds(b"")


def test_if_match() -> None:
    wanted = read_precondition(TAG, None)
    assert wanted.holds(TAG)
    assert not wanted.holds(b'"service:18"')
    assert not wanted.holds(b"")
    assert wanted.revision("service") == 17
    assert wanted.revision("instance") is None
    several = read_precondition(b'"a" , "service:17"', None)
    assert several.holds(TAG)
    assert several.revision("service") is None
    star = read_precondition(b" * ", None)
    assert star.holds(TAG)
    assert not star.holds(b"")


def test_if_none_match() -> None:
    star = read_precondition(None, b"*")
    assert star.creates
    assert star.holds(b"")
    assert not star.holds(TAG)
    listed = read_precondition(None, b'"service:16","service:17"')
    assert not listed.holds(TAG)
    assert listed.holds(b'"service:18"')
    assert listed.revision("service") is None


def test_both_at_once() -> None:
    wanted = Precondition(match=(TAG,), none_match=(b"*",))
    assert not wanted.creates
    assert wanted.revision("service") is None
    assert not wanted.holds(TAG)


def test_a_weak_tag_never_matches_a_write_but_does_a_read() -> None:
    assert not read_precondition(b'W/"service:17"', None).holds(TAG)
    assert weakly_listed(b'W/"service:17"', TAG)
    assert weakly_listed(b'"x", "service:17"', TAG)
    assert weakly_listed(b"*", TAG)
    assert not weakly_listed(b'"service:1"', TAG)
    assert not weakly_listed(b"garbage", TAG)


@pytest.mark.parametrize("field", [b"17", b'"a', b'"a" "b"x', b'"a",*', b'"a\x00"', b"W/x"])
def test_garbage_is_refused_not_ignored(field: bytes) -> None:
    with pytest.raises(ValueError, match="ETag"):
        tags(field)
    with pytest.raises(UsageError, match=r"^cannot use this precondition"):
        read_precondition(None, field)


def test_zero_is_no_revision_of_a_key() -> None:
    assert read_precondition(b'"service:0"', None).revision("service") is None
    assert not read_precondition(b'"service:0"', None).holds(b"")


def test_a_long_list_takes_no_long_time() -> None:
    assert tags(b'"a",' * 8000 + b'"b"') is not None
    with pytest.raises(ValueError, match="ETag"):
        tags(b" ," * 16_000 + b"x")
