import pytest

from pillion.ambassador.egress import Egress, canonical_host, split_authority
from pillion.settings.edges import Proxy


def listed(*hosts: str, ports: tuple[int, ...] = ()) -> Egress:
    return Egress(Proxy(egress="list", hosts=hosts, connect_ports=ports))


def test_allow_and_deny() -> None:
    assert Egress(Proxy(egress="allow")).allows("anything.example", 1)
    assert not Egress(Proxy(egress="deny", hosts=("a.example",))).allows("a.example", 80)


@pytest.mark.parametrize(
    ("pattern", "host", "port", "allowed"),
    [
        ("api.example.org", "api.example.org", 80, True),
        ("api.example.org", "API.Example.ORG.", 80, True),
        ("api.example.org", "xapi.example.org", 80, False),
        ("api.example.org", "api.example.org.evil.test", 80, False),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "evilexample.org", 443, False),
        ("db.internal:5432", "db.internal", 5432, True),
        ("db.internal:5432", "db.internal", 22, False),
        ("*.example.org:443", "a.example.org", 443, True),
        ("*.example.org:443", "a.example.org", 80, False),
        ("*:443", "anything", 443, True),
        ("*:443", "anything", 80, False),
        ("*", "10.0.0.1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]", "0:0:0:0:0:0:0:1", 80, True),
        ("[::1]:80", "[::1]", 81, False),
        ("127.0.0.1", "::ffff:127.0.0.1", 80, True),
        ("127.0.0.1", "127.1", 80, False),
        ("127.0.0.1", "2130706433", 80, False),
    ],
)
def test_hosts_of_the_list(pattern: str, host: str, port: int, allowed: bool) -> None:
    assert listed(pattern).allows(host, port) is allowed


def test_an_empty_list_allows_nothing() -> None:
    assert not listed().allows("a.example", 80)


def test_ports_of_connect() -> None:
    egress = listed("*.example.org", ports=(443,))
    assert egress.allows_connect("a.example.org", 443)
    assert not egress.allows_connect("a.example.org", 22)
    assert egress.allows("a.example.org", 22)
    assert not egress.allows_connect("b.test", 443)


@pytest.mark.parametrize("pattern", ["*.", "a.*.b", "a:0", "a:x", "a:99999", ""])
def test_hosts_that_are_none(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot read egress host"):
        listed(pattern)


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"^cannot follow egress rule"):
        Egress(Proxy(egress="maybe"))


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Example.ORG.", "example.org"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[not:an:address", "not:an:address"),
    ],
)
def test_one_spelling_of_a_host(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("a.example", ("a.example", 80)),
        ("a.example:8080", ("a.example", 8080)),
        ("[::1]", ("::1", 80)),
        ("[::1]:443", ("::1", 443)),
    ],
)
def test_authorities_taken_apart(authority: str, parts: tuple[str, int]) -> None:
    assert split_authority(authority, 80) == parts
