"""Certificates that change while they are in use."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority, Pair
from ambassador_edges import Catcher, Edge, run, until
from pillion.ambassador.connector import TLS_FAILED, ConnectFailed, Connector
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.tls import TlsClient
from pillion.ambassador.tls_files import EXPIRES, REFUSED, RELOADED, TlsEvent, TlsFiles
from pillion.base.tasks import RootTasks, TaskEnd
from pillion.settings.edges import ServerTls
from pillion.settings.upstreams import ClientTls

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.ambassador.peer import Peer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Files:
    """TlsFiles with its tasks and what it told."""

    def __init__(self, *, use_inotify: bool = True, lenient: bool = False) -> None:
        self.told: list[TlsEvent] = []
        self.ends: list[TaskEnd] = []
        self.tasks = RootTasks(self.ends.append)
        self.files = TlsFiles(
            self.tasks,
            self.told.append,
            lenient=lenient,
            use_inotify=use_inotify,
            poll_s=0.05,
            pace_s=0.05,
        )

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]

    async def close(self) -> None:
        self.files.close()
        await self.tasks.close(5.0)
        assert not self.ends


def settings(pair: Pair) -> ServerTls:
    return ServerTls(cert_file=pair.cert, key_file=pair.key)


def shown(context: ssl.SSLContext, authority: Authority) -> object:
    """The serial number that a client of this context is shown, without a network."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(authority.file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = context.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server, server_hostname="shop.internal")
    for _ in range(10):
        for end in (other, one):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    peercert = other.getpeercert()
    assert peercert is not None
    return peercert["serialNumber"]


def bad_keys(path: str) -> list[tuple[str, str]]:
    """Texts that are no key, and what is said of each."""
    with open(path, encoding="ascii") as file:
        key = file.read()
    return [
        ("", "it is empty"),
        ("garbage", "there is none in it"),
        (key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "it is encrypted"),
        (key[:-60], "damaged"),
        ("x" * (2 << 20), "more than"),
    ]


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def at_least(files: TlsFiles, refusals: int) -> bool:
    return files.refusals >= refusals


@pytest.mark.parametrize("use_inotify", [True, False])
def test_half_a_change_is_refused_and_the_whole_is_taken(
    authority: Authority, use_inotify: bool
) -> None:
    async def work() -> None:
        pair = authority.issue("shop", dns=("shop.internal",))
        site = Files(use_inotify=use_inotify)
        tls = site.files.server(settings(pair))
        site.files.follow([tls])
        before = tls.context
        serial = shown(before, authority)
        following = authority.issue("next", dns=("shop.internal",))
        os.replace(following.cert, pair.cert)  # a certificate without its key
        await until(lambda: site.told, "the refusal")
        assert site.kinds() == [REFUSED]
        assert "do not belong together" in site.told[0].detail
        assert site.told[0].detail.startswith("cannot use the certificate")
        assert tls.context is before
        assert shown(tls.context, authority) == serial
        os.replace(following.key, pair.key)
        await until(lambda: site.files.reloads, "the change")
        assert site.kinds() == [REFUSED, RELOADED]
        assert shown(tls.context, authority) != serial
        # Sessions made under the old context still have it.
        assert shown(before, authority) == serial
        await site.close()

    run(work())


def test_what_cannot_be_read_stays_out_and_is_told_once(authority: Authority) -> None:
    async def work() -> None:
        pair = authority.issue("shop", dns=("shop.internal",))
        site = Files(use_inotify=False)
        tls = site.files.server(settings(pair))
        site.files.follow([tls])
        context = tls.context
        for number, (text, why) in enumerate(bad_keys(pair.key), 1):
            write(pair.key, text)
            await until(partial(at_least, site.files, number), f"refusal {number}")
            assert site.told[-1].kind == REFUSED
            assert why in site.told[-1].detail
            assert pair.key in site.told[-1].detail
        os.unlink(pair.key)
        await until(lambda: "no such file" in site.told[-1].detail, "the last refusal")
        told = len(site.told)
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert len(site.told) == told, "the same was told again and again"
        assert tls.context is context
        await site.close()

    run(work())


def test_a_link_that_is_swapped_is_a_change(authority: Authority, tmp_path: Path) -> None:
    """As Kubernetes does it: files are links through `..data`, which is swapped in one step."""

    async def work() -> None:
        for name in ("one", "two"):
            pair = authority.issue(name, dns=("shop.internal",))
            os.mkdir(tmp_path / f"..{name}")
            os.replace(pair.cert, tmp_path / f"..{name}" / "tls.crt")
            os.replace(pair.key, tmp_path / f"..{name}" / "tls.key")
        mounted = tmp_path / "mounted"
        os.mkdir(mounted)
        os.symlink(tmp_path / "..one", mounted / "..data")
        os.symlink("..data/tls.crt", mounted / "tls.crt")
        os.symlink("..data/tls.key", mounted / "tls.key")
        site = Files()
        tls = site.files.server(settings(Pair(f"{mounted}/tls.crt", f"{mounted}/tls.key")))
        site.files.follow([tls])
        os.symlink(tmp_path / "..two", mounted / "..data_tmp")
        os.replace(mounted / "..data_tmp", mounted / "..data")
        await until(lambda: site.files.reloads, "the change")
        assert site.kinds() == [RELOADED]
        await site.close()

    run(work())


def test_what_is_the_same_is_shared_and_what_is_not_used_is_forgotten(
    authority: Authority,
) -> None:
    async def work() -> None:
        pair = authority.issue("shop", dns=("shop.internal",))
        site = Files()
        files = site.files
        await files.prepare(
            [settings(pair), ServerTls(cert_file="/none", key_file="/none")],
            [(ClientTls(ca_file=authority.file), ("http/1.1",))],
        )
        one = files.client(ClientTls(ca_file=authority.file))
        assert files.client(ClientTls(ca_file=authority.file, server_name="x")) is one
        raw = files.client(ClientTls(ca_file=authority.file), alpn=())
        assert raw is not one
        server = files.server(settings(pair))
        files.follow([one, server])
        assert site.tasks.names == ("tls files",)
        assert files.server(settings(pair)) is server
        assert files.client(ClientTls(ca_file=authority.file), alpn=()) is not raw
        with pytest.raises(ValueError, match="cannot read /none: no such file"):
            files.server(ServerTls(cert_file="/none", key_file="/none"))
        files.follow([])
        await until(lambda: not site.tasks.names, "the end of following")
        await site.close()

    run(work())


def test_what_is_broken_at_the_start_has_no_tls_until_it_is_good(authority: Authority) -> None:
    async def work() -> None:
        pair = authority.issue("shop", dns=("shop.internal",))
        other = authority.issue("other", dns=("shop.internal",))
        both = Pair(pair.cert, other.key)
        site = Files(lenient=True)
        tls = site.files.server(settings(both))
        assert not tls.ready
        site.files.follow([tls])
        assert site.kinds() == [REFUSED]
        assert "there is no TLS with it" in site.told[0].detail
        made: list[Catcher] = []

        def factory(peer: Peer) -> Catcher:
            made.append(Catcher(peer))
            return made[-1]

        async with Edge(factory, tls=tls) as edge:
            reader, writer = await asyncio.open_connection(*edge.address)
            assert await reader.read() == b""
            writer.close()
            spec = EndpointSpec(id="1", address="127.0.0.1", port=edge.address[1])
            none = TlsClient(ca_file="/none", lenient=True)
            with pytest.raises(ConnectFailed, match="cannot read /none") as failed:
                await Connector().connect(spec, Catcher, timeout_s=5, tls=none)
            assert failed.value.reason == TLS_FAILED
            os.replace(pair.key, other.key)
            await until(lambda: tls.ready, "the change")
            good = TlsClient(ca_file=authority.file)
            transport, _ = await Connector().connect(
                spec, Catcher, timeout_s=5, tls=good, server_name="shop.internal"
            )
            await until(lambda: made, "the connection")
            transport.abort()
            await until(lambda: edge.counters.open == 0, "its end")
        # From the first policy on, what is broken is refused.
        with pytest.raises(ValueError, match="cannot read /none"):
            site.files.client(ClientTls(ca_file="/none"))
        await site.close()

    run(work())


def test_a_certificate_that_ends_is_told_of(authority: Authority) -> None:
    async def work() -> None:
        site = Files()
        for name, days in (("soon", 3.0), ("over", -1.0), ("fine", 20.0)):
            pair = authority.issue(name, dns=("shop.internal",), valid_days=days)
            tls = site.files.server(settings(pair))
            assert tls.expires is not None
            left = tls.expires - datetime.datetime.now(datetime.UTC)
            assert abs(left.total_seconds() - days * 86400) < 60
        assert site.kinds() == [EXPIRES, EXPIRES]
        assert " expires at " in site.told[0].detail
        assert " has expired at " in site.told[1].detail
        await site.close()

    run(work())
