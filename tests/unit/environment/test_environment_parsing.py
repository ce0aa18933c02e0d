"""The small parsers, with what the real world writes and with what nobody should."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.base.mounts import mount_of, parse_mounts
from pillion.environment.app import parse_arguments, parse_bounds
from pillion.environment.facts import Interface
from pillion.environment.hardware import parse_cpu_list, parse_cpu_model
from pillion.environment.host import parse_os_release
from pillion.environment.network import interfaces, parse_interfaces
from pillion.environment.pod import parse_labels
from pillion.environment.secrecy import allowed, without_userinfo


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", (None, None, None)),
        ("NAME=Arch\nID=arch\n", ("arch", "Arch", None)),
        ("# ID=no\nID='alpine'\nVERSION_ID=3.19\nPRETTY_NAME=\"Alpine \\\"3\\\"\"\n", ("alpine", 'Alpine "3"', "3.19")),
        ("ID=\"\nbroken\n=x\n", ('"', None, None)),
    ],
)  # fmt: skip
def test_os_release(text: str, told: tuple[str | None, ...]) -> None:
    found = parse_os_release(text)
    assert (found.id, found.name, found.version) == told


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]), ("0-3", [0, 1, 2, 3]), ("0-1,4,6-7\n", [0, 1, 4, 6, 7]),
        ("", None), ("a", None), ("1-", None), ("0-99999999", None),
    ],
)  # fmt: skip
def test_cpu_lists(text: str, numbers: list[int] | None) -> None:
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor : 0\nmodel name : AMD EPYC\n", "AMD EPYC"),
        ("Hardware\t: BCM2835\nModel\t: Raspberry Pi 4\n", "BCM2835"),
        ("processor : 0\nBogoMIPS : 50\n", None),
        ("", None),
    ],
)
def test_cpu_models(text: str, model: str | None) -> None:
    assert parse_cpu_model(text) == model


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://user:pw@host/x", "https://host/x"),
        ("https://token@host", "https://host"),
        ("a=amqp://u:p@h/v,b=redis://:pw@r:6379", "a=amqp://h/v,b=redis://r:6379"),
        ("postgres://u:p/w@db/shop", "postgres://db/shop"),
        ("postgres://u:p@w@db", "postgres://db"),
        ("https://cdn/npm/@scope/pkg", "https://cdn/npm/@scope/pkg"),
        ("http://host:8080/@me", "http://host:8080/@me"),
        ("http://host/?mail=a@b", "http://host/?mail=a@b"),
        ("//user:pw@nas/share", "//nas/share"),
        ("me@example.org", "me@example.org"),
        ("plain", "plain"),
    ],
)
def test_no_credentials_of_urls(text: str, told: str) -> None:
    assert without_userinfo(text) == told


@given(
    st.text("abcXYZ0189:/?#@%-._~!$&", min_size=1, max_size=20).map(lambda s: "PW" + s.replace("@", "%40").replace("/", "").replace("?", "").replace("#", "")),
    st.sampled_from(["http", "postgresql+psycopg", "redis"]),
)  # fmt: skip
def test_a_password_never_stays(password: str, scheme: str) -> None:
    assert "PW" not in without_userinfo(f"--url={scheme}://user:{password}@host:1/path?q=1")


def test_only_named_variables_are_looked_at() -> None:
    given = {"POD_NAME": "x" * 600, "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "container": ""}
    assert allowed(given) == {"POD_NAME": "x" * 512}


def test_mounts_cover_one_another() -> None:
    text = (
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 8:2 / /srv rw - xfs /dev/b rw\n"
        "3 1 8:3 / /srv rw - btrfs /dev/c rw\n"
        "4 1 8:4 / /srv/da\\134ta rw - ext4 //user:pw@nas/share rw\n"
        "nonsense\n5 1 - -\n"
    )
    mounts = parse_mounts(text)
    assert [m.point for m in mounts] == ["/", "/srv", "/srv", "/srv/da\\ta"]

    def kind(path: str) -> str | None:
        mount = mount_of(mounts, path)
        return None if mount is None else mount.source

    assert kind("/srv/x") == "/dev/c"
    assert kind("/srvx") == "/dev/a"
    assert kind("/srv/da\\ta/y") == "//user:pw@nas/share"
    assert mount_of([], "/") is None


def test_arguments_are_bounded() -> None:
    assert parse_arguments(b"") == []
    assert parse_arguments(b"a\0\0b\0") == ["a", "", "b"]
    assert parse_arguments(b"\xff\0") == ["\\xff"]
    assert len(parse_arguments(b"x\0" * 5000)) == 1000
    assert len(parse_arguments(b"y" * 9000)[0]) == 4096


def test_bounds_of_lines_that_are_cut() -> None:
    assert parse_bounds("Max open files\nMax open files  \n")["nofile"].soft is None
    assert parse_bounds("Max open filesX 1 2") == {}


def test_labels() -> None:
    assert parse_labels('a="1"\nb.c/d="x\\"y"\nbad\n="no"\n') == {"a": "1", "b.c/d": 'x"y'}
    assert len(parse_labels("".join(f'k{n}="v"\n' for n in range(1000)))) == 64


def attribute(kind: int, data: bytes) -> bytes:
    raw = struct.pack("=HH", 4 + len(data), kind) + data
    return raw + b"\0" * (-len(raw) % 4)


def message(kind: int, body: bytes) -> bytes:
    raw = struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body
    return raw + b"\0" * (-len(raw) % 4)


def link(index: int, flags: int, name: str) -> bytes:
    head = struct.pack("=BBHiII", 0, 0, 1, index, flags, 0)
    return message(16, head + attribute(3, name.encode() + b"\0"))


def address(index: int, family: int, prefix: int, *attributes: bytes) -> bytes:
    return message(20, struct.pack("=BBBBI", family, prefix, 0, 0, index) + b"".join(attributes))


def test_interfaces_of_a_dump() -> None:
    dump = (
        address(2, socket.AF_INET, 24, attribute(1, bytes([10, 0, 0, 9])))
        + link(1, 1, "lo")
        + link(2, 1 | 64, "eth0")
        + link(3, 0, "down0")
        + address(1, socket.AF_INET, 8, attribute(1, bytes([127, 0, 0, 1])))
        + address(2, socket.AF_INET6, 64, attribute(1, b"\xfe\x80" + b"\0" * 13 + b"\1"))
        # A point-to-point link: the peer's address, and ours.
        + address(2, socket.AF_INET, 32, attribute(1, bytes(4)), attribute(2, bytes([10, 8, 0, 2])))
        + address(3, socket.AF_INET, 24, attribute(1, bytes([10, 9, 9, 9])))
        + address(1, 99, 24, attribute(1, b"????"))
        + address(1, socket.AF_INET, 24, attribute(1, b"?"))
        + message(3, b"\0\0\0\0")
    )
    assert parse_interfaces(dump) == [
        Interface(name="eth0", addresses=["10.0.0.9/24", "fe80::1/64", "10.8.0.2/32"]),
        Interface(name="lo", addresses=["127.0.0.1/8"]),
    ]


@given(st.binary(max_size=200))
def test_a_damaged_dump_is_no_crash(dump: bytes) -> None:
    parse_interfaces(dump)


def test_this_hosts_interfaces() -> None:
    # The kernel's own dump: every namespace has at least its loopback, up or not.
    assert all(one.addresses for one in interfaces())
