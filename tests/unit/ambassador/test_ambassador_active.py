"""Active checks: what makes an endpoint unhealthy, and what makes it healthy again."""

from __future__ import annotations

import pytest

from pillion.ambassador.active import Standing, step

RISE, FALL = 2, 3


def after(results: str, standing: Standing | None = None) -> str:
    """The verdicts after each result (`+` good, `-` bad): `h` healthy, `u` unhealthy."""
    seen = ""
    now = Standing() if standing is None else standing
    for result in results:
        now = step(now, "" if result == "+" else "refused", RISE, FALL)
        seen += "h" if now.healthy else "u"
    return seen


@pytest.mark.parametrize(
    ("results", "verdicts"),
    [
        ("+", "h"),
        ("-", "u"),  # the first answer decides
        ("+--+--+", "hhhhhhh"),  # never three in a row
        ("+---", "hhhu"),
        ("+---+", "hhhuu"),
        ("+---++", "hhhuuh"),
        ("+---+-+-+", "hhhuuuuuu"),  # never two in a row
        ("-++---", "uuhhhu"),
    ],
)
def test_thresholds(results: str, verdicts: str) -> None:
    assert after(results) == verdicts


def test_what_was_unhealthy_before_is_decided_by_the_first_answer() -> None:
    assert after("+", Standing(healthy=False)) == "h"
    assert after("-", Standing(healthy=False)) == "u"


def test_it_says_why() -> None:
    sick = step(Standing(), "connection refused", RISE, FALL)
    assert sick.why == "connection refused"
    assert step(step(sick, "", RISE, FALL), "", RISE, FALL).why == ""
