"""Templates rendered and looked at by the real nginx and haproxy, for the tests of everything that renders."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.templating.facts import Facts
from pillion.proxies.templating.references import ABSENT, Member, Reference
from pillion.proxies.templating.rendered import Rendered
from pillion.proxies.templating.templates import Templates, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pillion.proxies.templating.facts import ProxyKind

MAIN = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


def facts_of(kind: ProxyKind, directory: str = "/nowhere", **changed: object) -> Facts:
    """What a proxy called edge knows; its sockets are in `directory`."""
    facts = Facts(
        name="edge",
        kind=kind,
        directory=f"{directory}/proxies/edge/conf",
        runtime_dir=directory,
        state_dir=f"{directory}/proxies/edge",
        service="shop",
        instance="shop",
        app_port=3000,
        proof_path=f"{directory}/proxy-edge.proof",
        admin_path=f"{directory}/proxy-edge.admin",
        empty_path=f"{directory}/proxy-edge.empty",
    )
    return msgspec.structs.replace(facts, **changed)


def member(id_: str, port: int, **changed: object) -> Member:
    """A member on the loopback."""
    return msgspec.structs.replace(Member(id=id_, address="127.0.0.1", port=port), **changed)


def rendered(
    kind: ProxyKind,
    template: str | Path,
    values: Mapping[str, object] | None = None,
    facts: Facts | None = None,
    *,
    services: Mapping[str, Iterable[Member]] | None = None,
    config: Mapping[str, object] | None = None,
    given: Mapping[Reference, object] | None = None,
) -> Rendered:
    """The files of a template, fetched for as long as it asks: services without members and keys without values are there, too."""
    templates = Templates(kind, (MAIN[kind], str(template)), values=values or {})
    have: dict[Reference, object] = dict(given or {})
    for _ in range(20):
        found = render(templates, have, facts or facts_of(kind), limit_s=20.0)
        if isinstance(found, Rendered):
            return found
        for reference in found.references:
            match reference.kind:
                case "service":
                    have[reference] = tuple((services or {}).get(reference.name, ()))
                case "config":
                    have[reference] = (config or {}).get(reference.name, ABSENT)
                case _:
                    raise AssertionError(f"nobody gives the template {reference}")
    raise AssertionError("the template asks for ever more")


def text_of(
    kind: ProxyKind,
    directory: Path,
    source: str,
    values: Mapping[str, object] | None = None,
    **more: object,
) -> str:
    """What a template of this source gives, without a proof."""
    path = directory / "test.j2"
    path.write_text(source)
    facts = facts_of(kind, proves=False)
    return rendered(kind, path, values, facts, **more).files[0].text  # type: ignore[arg-type]


def write(found: Rendered, facts: Facts) -> str:
    """Put the files where the facts say; the path of the main one."""
    os.makedirs(facts.directory, exist_ok=True)
    for one in found.files:
        Path(facts.directory, one.name).write_text(one.text)
    return os.path.join(facts.directory, found.files[0].name)


def nginx_complaint(path: str, text: str = "") -> str:
    """What `nginx -t` says against a file, warnings too; empty when it says nothing."""
    program = program_of("nginx")
    end = subprocess.run(
        [
            program,
            "-t",
            "-q",
            "-e",
            "stderr",
            "-p",
            os.path.dirname(path),
            "-c",
            path,
            "-g",
            f"pid {os.path.dirname(path)}/nginx.pid;",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return f"{end.stderr}{text}" if end.returncode or end.stderr else ""


def haproxy_complaint(path: str, text: str = "") -> str:
    """What `haproxy -c` says against a file, warnings and notices too; empty when it says nothing."""
    program = program_of("haproxy")
    end = subprocess.run(
        [program, "-W", "-dW", "-c", "-f", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return f"{end.stderr}{text}" if end.returncode or end.stderr else ""


def program_of(name: str) -> str:
    """A real program's path; without it the test fails with the line that installs it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found is not None, (
        f"{name} is missing: apt-get install -y --no-install-recommends {name}"
    )
    return found
