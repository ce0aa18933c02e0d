"""Compressing beforehand, whatever happens to the files meanwhile: what is in the tree is right, whole, or not there."""

from __future__ import annotations

import gzip
import os
import threading
import time
from typing import TYPE_CHECKING

import brotli
import pytest

from pillion.proxies.offload import compress as offload_compress
from pillion.proxies.offload.compress import Compressor

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"export const answer = 42;\n" * 400
# Files are made now, and have settled.
LATER_NS = 10_000_000_000


class Site:
    """A root and the tree beside it."""

    def __init__(self, base: Path) -> None:
        self.root = base / "public"
        self.tree = base / "state" / "compressed"
        self.root.mkdir()
        self.tree.mkdir(parents=True)
        self.stopped = False

    def put(self, path: str, data: bytes = TEXT) -> str:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        return str(full)

    def compressor(self, **options: object) -> Compressor:
        return Compressor(
            str(self.root),
            str(self.tree),
            f"{self.tree}.json",
            lambda _path: True,
            stopped=lambda: self.stopped,
            clock_ns=lambda: time.time_ns() + LATER_NS,
            **options,  # type: ignore[arg-type]
        )

    def held(self) -> list[str]:
        return sorted(
            os.path.relpath(os.path.join(where, name), self.tree)
            for where, _, names in os.walk(self.tree)
            for name in names
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_both_codings_say_the_same_as_the_file(site: Site) -> None:
    path = site.put("assets/app.js")
    site.put("index.html")
    os.utime(path, ns=(10**18, 10**18))
    report = site.compressor().run()
    assert (report.made, report.trouble) == (1, "")
    assert site.held() == ["assets/app.js.br", "assets/app.js.gz"]
    assert gzip.decompress((site.tree / "assets/app.js.gz").read_bytes()) == TEXT
    assert brotli.decompress((site.tree / "assets/app.js.br").read_bytes()) == TEXT
    assert os.stat(site.tree / "assets/app.js.gz").st_mtime_ns == 10**18
    again = site.compressor().run()
    assert (again.made, again.kept, again.removed) == (0, 1, 0)
    assert sorted(os.listdir(site.root)) == ["assets", "index.html"]


def test_a_change_is_never_answered_with_the_old_one(site: Site) -> None:
    path = site.put("app.js")
    before = os.stat(path)
    site.compressor().run()
    site.put("app.js", TEXT[::-1])
    # As builds that can be repeated do: the same size and the same time.
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    site.compressor().run()
    assert gzip.decompress((site.tree / "app.js.gz").read_bytes()) == TEXT[::-1]
    os.unlink(path)
    assert site.compressor().run().removed == 2
    assert site.held() == []


def test_a_lost_or_broken_index_costs_work_and_nothing_else(site: Site) -> None:
    site.put("app.js")
    site.compressor().run()
    for garbage in (b"", b"{", b'{"app.js": [[1,2,3,4],{"gz":"x"}]}', b"[]", os.urandom(100)):
        with open(f"{site.tree}.json", "wb") as file:
            file.write(garbage)
        assert site.compressor().run().made == 1
    (site.tree / "app.js.gz").write_bytes(b"")
    assert site.compressor().run().made == 1
    assert gzip.decompress((site.tree / "app.js.gz").read_bytes()) == TEXT


def test_a_file_that_changes_while_it_is_compressed_is_not_kept(site: Site) -> None:
    path = site.put("app.js", TEXT * 50)

    class Changing:
        def process(self, data: bytes) -> bytes:
            with open(path, "ab") as file:
                file.write(b"more")
            return bytes(data[:10])

        def finish(self) -> bytes:
            return b""

    usual = offload_compress._coder
    try:
        offload_compress._coder = lambda coding, size: Changing()
        assert site.compressor().run().made == 0
    finally:
        offload_compress._coder = usual
    assert site.held() == []
    assert site.compressor().run().made == 1
    assert gzip.decompress((site.tree / "app.js.gz").read_bytes()).endswith(b"more")


def test_told_to_end_it_leaves_nothing_half_done(site: Site) -> None:
    site.put("app.js", os.urandom(1 << 16).hex().encode())
    site.stopped = True
    report = site.compressor().run()
    assert (report.made, report.trouble) == (0, "told to end")
    assert site.held() == []
    site.stopped = False
    assert site.compressor().run().made == 1


def test_what_a_killed_run_has_left_goes(site: Site) -> None:
    site.put("app.js")
    (site.tree / "app.js.gz.new").write_bytes(b"half")
    (site.tree / "gone.js.br").write_bytes(b"old")
    site.compressor().run()
    assert site.held() == ["app.js.br", "app.js.gz"]


def test_links_hidden_and_odd_files_are_not_touched(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret.js").write_bytes(TEXT)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.js").write_bytes(TEXT)
    os.symlink(tmp_path / "secret.js", site.root / "link.js")
    os.symlink(tmp_path / "elsewhere", site.root / "tree")
    os.mkfifo(site.root / "pipe.js")
    os.mkdir(site.root / "directory.js")
    site.put(".git/a.js")
    site.put(".env.js")
    site.put("own.js")
    site.put("own.js.gz", b"by somebody who knows better")
    site.put("tiny.js", b"x")
    site.put("noise.js", os.urandom(4096))
    name = os.fsencode(str(site.root)) + b"/bad\xff.js"
    with open(name, "wb") as file:
        file.write(TEXT)
    found = []
    thread = threading.Thread(target=lambda: found.append(site.compressor().run()), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits for the pipe"
    assert found[0].trouble == ""
    assert site.held() == []


def test_a_tree_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    site.put("app.js")
    os.rmdir(site.tree)
    # A file where the directory should be, which root cannot pass either.
    site.tree.write_bytes(b"")
    report = site.compressor().run()
    assert report.made == 0
    assert report.trouble.startswith("cannot ")


def test_only_what_can_be_served_is_made(site: Site) -> None:
    site.put("app.js")
    site.compressor(codings=("gz",)).run()
    assert site.held() == ["app.js.gz"]
