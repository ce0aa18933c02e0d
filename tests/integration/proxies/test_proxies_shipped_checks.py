"""Every shipped template passes its proxy's own validator without a warning, and the linter finds nothing, whatever its values are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pillion.proxies.templating.shipped import shipped_names
from proxies_certificates import certificates
from proxies_rendering import facts_of, haproxy_complaint, nginx_complaint, rendered, write
from proxies_shipped import SERVICES, cases

GIXY = Path(__file__).parents[3] / ".venv/gixy/bin/gixy"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key, both in one file, and a page."""
    directory = tmp_path_factory.mktemp("files")
    certificates(directory, "DNS:localhost", "IP:127.0.0.1")
    (directory / "page.html").write_text("<h1>Back soon</h1>")
    return directory


@pytest.mark.timeout(300)
def test_nginx_takes_each_of_them_and_the_linter_finds_nothing(files: Path, tmp_path: Path) -> None:
    paths = []
    for at, (name, values) in enumerate(cases("nginx", files)):
        facts = facts_of("nginx", str(tmp_path / str(at)), as_root=bool(at % 2))
        path = write(rendered("nginx", f"pillion:{name}", values, facts, services=SERVICES), facts)
        assert not nginx_complaint(path), (name, values)
        paths.append(path)
    assert len(paths) > 60
    assert not findings(*paths)


def test_the_linter_is_asked_what_it_can_find(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server { location / { proxy_pass http://$http_host; } } }\n")
    assert "ssrf" in findings(str(path))


def findings(*paths: str) -> str:
    """What the linter says about files; empty when nothing."""
    assert GIXY.exists(), f"{GIXY} is missing: make test installs it (scripts/setup)"
    end = subprocess.run(
        [GIXY, "-f", "text", *paths], capture_output=True, text=True, timeout=240, check=False
    )
    return f"{end.stdout}{end.stderr}" if end.returncode or ">> Problem" in end.stdout else ""


@pytest.mark.timeout(300)
def test_haproxy_takes_each_of_them_without_a_warning(files: Path, tmp_path: Path) -> None:
    count = 0
    for at, (name, values) in enumerate(cases("haproxy", files)):
        facts = facts_of("haproxy", str(tmp_path / str(at)))
        path = write(
            rendered("haproxy", f"pillion:{name}", values, facts, services=SERVICES), facts
        )
        assert not haproxy_complaint(path), (name, values)
        count += 1
    assert count > 60


def test_every_template_has_cases(files: Path) -> None:
    for kind in ("nginx", "haproxy"):
        assert {name for name, _ in cases(kind, files)} == set(shipped_names(kind))
