"""What a breaker is told of an endpoint's part in a connection of raw TCP."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from pillion.ambassador.endpoints import EndpointGroup
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.tcp_reach import EndpointUse
from pillion.settings.policies import Breaker
from pillion.settings.upstreams import Upstream

if TYPE_CHECKING:
    from pillion.ambassador.endpoint import Endpoint


@pytest.fixture
def endpoint() -> Endpoint:
    settings = Upstream(service="db", breaker=Breaker(consecutive=1, ratio=None, open_s=10.0))
    group = EndpointGroup(settings, "", Random(1), lambda *_: None)
    group.update([EndpointSpec(id="1", address="10.0.0.1", port=1)], settings, 0.0)
    return group.endpoints[0]


def test_a_failure_is_told_and_counted(endpoint: Endpoint) -> None:
    use = EndpointUse()
    use.begin(endpoint, 0.0)
    assert (endpoint.active, endpoint.requests) == (1, 1)
    use.end(True, 1.0)
    use.end(None, 1.0)
    assert (endpoint.active, endpoint.failures) == (0, 1)
    assert endpoint.breaker.state == "open"


def test_one_that_has_stood_is_a_success_whatever_becomes_of_it(endpoint: Endpoint) -> None:
    endpoint.breaker.end(endpoint.breaker.begin(0.0), False, 0.0)
    assert endpoint.breaker.admits(10.0)
    use = EndpointUse()
    use.begin(endpoint, 10.0)
    assert endpoint.breaker.state == "half-open"
    use.stands(11.0)
    use.stands(12.0)
    assert endpoint.breaker.state == "closed"
    use.end(True, 20.0)
    assert endpoint.breaker.state == "closed"
    assert endpoint.active == 0


def test_a_trial_of_which_nobody_can_say_anything_is_given_back(endpoint: Endpoint) -> None:
    endpoint.breaker.end(endpoint.breaker.begin(0.0), False, 0.0)
    use = EndpointUse()
    assert endpoint.breaker.admits(10.0)
    use.begin(endpoint, 10.0)
    assert not endpoint.breaker.admits(10.0)
    use.end(None, 10.5)
    assert endpoint.breaker.admits(10.5)
    assert endpoint.active == 0


def test_without_an_endpoint_there_is_nothing_to_tell() -> None:
    use = EndpointUse()
    use.stands(0.0)
    use.end(True, 0.0)
