"""Distributions have nginx and haproxy where the path of those who are not root does not lead: they are found, run and checked all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from offload_instance import ask, started
from proxies_edge import Edge

if TYPE_CHECKING:
    from instance import Host


@pytest.fixture(autouse=True)
def _path_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_is_run_and_checked(host: Host, kind: str) -> None:
    Edge(host, kind).serves("hello")


def test_the_offload_is_run_and_asked_what_it_can(host: Host) -> None:
    address, _ = started(host)
    assert ask(address, "/")[2] == b"entry"
