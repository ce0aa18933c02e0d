"""Whatever the settings say, nginx accepts the configuration and the linter for nginx's security finds nothing in it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from ambassador_certificates import Authority
from offload_running import NGINX, Offloaded, build
from pillion.proxies.offload.build import NginxBuild
from pillion.proxies.offload.configuration import MAIN, render
from pillion.settings.edges import ServerTls
from pillion.settings.offload import Offload

if TYPE_CHECKING:
    from collections.abc import Iterator

GIXY = os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "gixy", "bin", "gixy")
CHOICES: dict[str, tuple[object, ...]] = {
    "spa": (False, True),
    "precompress": (False, True),
    "protected": (None, "private"),
    "microcache_s": (0.0, 1.5),
    "cache_s": (0.0, 60.0),
    "tls": (None, "tls", "mtls"),
    "access_log": (False, True),
    "headers": ({}, {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "DENY"}),
    "hops": (0, 2),
    "forwarded": ((), ("x-forwarded",), ("x-forwarded", "forwarded")),
    "brotli": (False, True),
}
"""Each setting that changes the configuration's shape."""


def pairs() -> list[dict[str, object]]:
    """Combinations in which every two values of two settings meet; all of them would be thousands."""
    names = list(CHOICES)
    left = {
        ((a, i), (b, j))
        for a, b in itertools.combinations(names, 2)
        for i in range(len(CHOICES[a]))
        for j in range(len(CHOICES[b]))
    }
    rows = []
    while left:
        row = dict(min(left))
        for name in names:
            if name not in row:
                row[name] = max(
                    range(len(CHOICES[name])),
                    key=lambda i, name=name: sum(  # type: ignore[misc]
                        tuple(sorted(((name, i), other), key=lambda one: names.index(one[0])))
                        in left
                        for other in row.items()
                    ),
                )
        met = {((a, row[a]), (b, row[b])) for a, b in itertools.combinations(names, 2)}
        left -= met
        rows.append({name: CHOICES[name][row[name]] for name in names})
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offloaded]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    pair = authority.issue("shop")
    with Offloaded() as made:
        made.settings["pair"] = (pair.cert, pair.key, authority.file)
        yield made


def texts(place: Offloaded) -> Iterator[tuple[dict[str, object], str]]:
    pair = place.settings["pair"]
    assert isinstance(pair, tuple)
    cert, key, authority = pair
    for row in pairs():
        held = dict(row)
        tls = {
            "tls": ServerTls(cert_file=cert, key_file=key),
            "mtls": ServerTls(
                cert_file=cert, key_file=key, client_ca_file=authority, min_version="1.3"
            ),
            None: None,
        }[held.pop("tls")]  # type: ignore[index]
        facts = msgspec.structs.replace(
            place.facts, hops=held.pop("hops"), forwarded=held.pop("forwarded")
        )
        if not held.pop("brotli"):
            facts = msgspec.structs.replace(
                facts, build=msgspec.structs.replace(build(), brotli=False, modules=())
            )
        if held["protected"]:
            held["protected"] = place.private
        yield row, render(Offload(root=place.root, tls=tls, **held), facts).files[0].text  # type: ignore[arg-type]


def test_nginx_and_the_linter_find_nothing(place: Offloaded) -> None:
    files = {}
    for number, (row, text) in enumerate(texts(place)):
        path = os.path.join(place.base, f"{number}.conf")
        with open(path, "w") as file:
            file.write(text)
        files[path] = row
        done = subprocess.run(
            [
                NGINX,
                "-t",
                "-q",
                "-c",
                path,
                "-p",
                place.base,
                "-e",
                "stderr",
                "-g",
                f"pid {place.base}/test.pid;",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), row
    assert len(files) > 8
    for path, row in files.items():
        done = subprocess.run(
            [GIXY, "-f", "json", path], capture_output=True, text=True, timeout=60, check=False
        )
        assert json.loads(done.stdout) == [], row


def test_the_linter_would_find_something(place: Offloaded) -> None:
    _, text = next(texts(place))
    path = os.path.join(place.base, "bad.conf")
    with open(path, "w") as file:
        file.write(text.replace("try_files $pillion_file @app;", "return 301 $uri/;", 1))
    done = subprocess.run(
        [GIXY, "-f", "json", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert [one["plugin"] for one in json.loads(done.stdout)]


def test_a_build_without_anything_is_told_nothing_that_it_does_not_know(place: Offloaded) -> None:
    bare = NginxBuild(version=(1, 27, 0), gzip_static=False, http2=False, tls=False)
    facts = msgspec.structs.replace(place.facts, build=bare, user=None)
    text = render(Offload(root=place.root, precompress=True), facts).files[0].text
    for word in ("gzip_static", "brotli", "load_module", "http2", "\nuser "):
        assert word not in text
    assert MAIN == "nginx.conf"
