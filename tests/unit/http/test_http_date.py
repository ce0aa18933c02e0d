"""The Date header agrees with the standard library's formatter over years, months and leap days."""

from __future__ import annotations

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from pillion.http.server.date import http_date


@given(st.integers(0, 4_102_444_800))
def test_a_date_is_as_the_standard_library_writes_it(seconds: int) -> None:
    assert http_date(seconds) == formatdate(seconds, usegmt=True)
