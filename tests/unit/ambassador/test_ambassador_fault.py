"""Faults made on purpose."""

from __future__ import annotations

from random import Random

import pytest

from pillion.ambassador.fault import decide
from pillion.http.codec import Headers
from pillion.settings.policies import Fault

NOTHING = Headers([])
ASKED = Headers([(b"x-fault", b"")])


def counts(fault: Fault, headers: Headers = NOTHING) -> tuple[int, int, int]:
    """Of 10,000 requests: how many are delayed, aborted, both."""
    random = Random(7)
    made = [decide(fault, headers, random) for _ in range(10_000)]
    return (
        sum(delay_s > 0 for delay_s, _ in made),
        sum(abort > 0 for _, abort in made),
        sum(delay_s > 0 and abort > 0 for delay_s, abort in made),
    )


def test_no_fault() -> None:
    assert counts(Fault()) == (0, 0, 0)


def test_every_request() -> None:
    assert decide(Fault(delay_s=2.0, abort=503), NOTHING, Random(1)) == (2.0, 503)
    assert counts(Fault(delay_s=2.0, abort=503)) == (10_000, 10_000, 10_000)


def test_none_of_them() -> None:
    assert counts(Fault(delay_s=2.0, delay_share=0.0, abort=503, abort_share=0.0)) == (0, 0, 0)


def test_shares_are_drawn_independently() -> None:
    delayed, aborted, both = counts(Fault(delay_s=2.0, delay_share=0.2, abort=503, abort_share=0.5))
    assert delayed == pytest.approx(2_000, rel=0.1)
    assert aborted == pytest.approx(5_000, rel=0.1)
    assert both == pytest.approx(1_000, rel=0.15)


def test_only_for_requests_with_the_header() -> None:
    fault = Fault(abort=503, header="X-Fault")
    assert decide(fault, NOTHING, Random(1)) == (0.0, 0)
    assert decide(fault, ASKED, Random(1)) == (0.0, 503)
