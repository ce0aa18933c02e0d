"""Breakers by hand: what was said last of an endpoint or of its upstream holds, in whichever order it was said."""

from __future__ import annotations

import pytest

from pillion.ambassador.snapshot import EndpointSpec, Forced, UpstreamEndpoints
from pillion.ambassador.steering import MOST_FORCED, force, in_force, still_there

A, B = "10.0.0.1:80", "10.0.0.2:80"


def wanted(*forced: Forced) -> dict[tuple[str, str], str]:
    endpoints = (EndpointSpec("a", "10.0.0.1", 80), EndpointSpec("b", "10.0.0.2", 80))
    upstreams = (UpstreamEndpoints("orders", endpoints), UpstreamEndpoints("other", endpoints))
    return in_force(forced, upstreams)


def test_one_endpoint() -> None:
    forced = force((), "orders", A, "open")
    assert wanted(*forced) == {("orders", A): "open"}
    assert force(forced, "orders", A, "auto") == ()
    assert wanted(*force(forced, "orders", A, "close")) == {("orders", A): "close"}


def test_a_whole_upstream_and_an_exception() -> None:
    forced = force((), "orders", "", "open")
    assert wanted(*forced) == {("orders", A): "open", ("orders", B): "open"}
    forced = force(forced, "orders", B, "auto")
    assert wanted(*forced) == {("orders", A): "open"}
    assert force(forced, "orders", "", "auto") == ()


def test_the_whole_replaces_what_was_said_of_its_parts() -> None:
    forced = force(force((), "orders", A, "close"), "orders", "", "open")
    assert forced == (Forced("orders", "", "open"),)


def test_an_endpoint_that_is_away_is_remembered_its_upstream_is_not() -> None:
    forced = (Forced("orders", "10.9.9.9:80", "open"), Forced("gone", "", "open"))
    assert wanted(*forced) == {}
    assert still_there(forced, frozenset({"orders"})) == forced[:1]


def test_there_is_a_bound() -> None:
    forced: tuple[Forced, ...] = ()
    for at in range(MOST_FORCED):
        forced = force(forced, "orders", f"e{at}", "open")
    with pytest.raises(ValueError, match="cannot hold more than"):
        force(forced, "orders", "one more", "open")
    assert len(force(forced, "orders", "e0", "close")) == MOST_FORCED
