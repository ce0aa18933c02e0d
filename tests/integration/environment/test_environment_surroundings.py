"""The whole answer: on demand, from one thread, within a bound; and in a real instance."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pillion.environment.facts import Cloud
from pillion.environment.gathering import Gathering
from pillion.environment.surroundings import Surroundings
from pillion.errors import UnreachableError
from pillion.model.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from instance import Host


def place(root: Path) -> Place:
    return Place(
        v=1, role="agent", instance="shop", run="r", runtime_dir=str(root), state_dir=str(root)
    )


def test_a_hanging_file_system_costs_one_thread_and_a_bounded_wait(tmp_path: Path) -> None:
    hanging, begun = threading.Event(), []

    def measured(_: str) -> tuple[int, int]:
        begun.append(1)
        hanging.wait(30)
        return 1, 1

    async def ask() -> None:
        gathering = Gathering({}, {}, measured=measured)
        surroundings = Surroundings(place(tmp_path), lambda: gathering, read_s=0.05)
        for _ in range(3):
            with pytest.raises(UnreachableError, match="network file system"):
                await surroundings.describe(None)
        assert len(begun) == 1
        hanging.set()
        while True:
            try:
                found = await surroundings.describe(None)
                break
            except UnreachableError:
                continue
        assert (found.app, found.limits, found.sidecar.instance) == (None, [], "shop")

    asyncio.run(ask())


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    made = []

    def make() -> Gathering:
        made.append(1)
        return Gathering({}, {}, str(tmp_path), interfaces=list)

    async def use() -> None:
        surroundings = Surroundings(place(tmp_path), make)
        assert made == []
        await asyncio.gather(*(surroundings.describe(None) for _ in range(20)))
        await surroundings.describe(None)
        assert made == [1]

    asyncio.run(use())


def test_a_cloud_is_asked_once_for_all_and_not_again_at_once(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "sys_vendor").write_text("Amazon EC2\n")
    asked = []
    answers = [Cloud(provider="aws", error="cannot"), Cloud(provider="aws", instance="i-1")]

    async def fetch(provider: str) -> Cloud:
        asked.append(provider)
        return answers[len(asked) - 1]

    async def use() -> None:
        gathering = Gathering({}, {}, str(tmp_path), interfaces=list)
        surroundings = Surroundings(place(tmp_path), lambda: gathering, fetch)
        found = await asyncio.gather(*(surroundings.describe(None) for _ in range(5)))
        assert [one.cloud for one in found] == [answers[0]] * 5
        assert asked == ["aws"]

    asyncio.run(use())


def test_a_defect_of_ours_reaches_whoever_asks(tmp_path: Path) -> None:
    def make() -> Gathering:
        raise AssertionError("broken")

    async def use() -> None:
        with pytest.raises(AssertionError, match="broken"):
            await Surroundings(place(tmp_path), make).describe(None)

    asyncio.run(use())


def test_where_an_app_runs(host: Host, tmp_path: Path) -> None:
    settings = '[app]\nenv = { DATABASE = "planted-s3cret" }\nlimits = { open_files = 777 }\n'
    code = "import time; time.sleep(1000)"
    shop = host.run(
        sys.executable, "-c", code, "http://user:planted-s3cret@example.org/", name="shop",
        settings=settings, cwd=str(tmp_path), env={"OUTER": "planted-s3cret"},
    )  # fmt: skip
    app = shop.wait_state("app")
    text = host.pillion("environment", "--json").stdout
    assert "planted-s3cret" not in text
    found: dict[str, Any] = json.loads(text)
    process = found["app"]
    assert process["pid"] == app["pid"]
    assert process["arguments"] == [sys.executable, "-c", code, "http://example.org/"]
    assert process["workdir"] == str(tmp_path.resolve())
    assert process["user"]["id"] == os.getuid()
    assert process["resources"]["nofile"] == {"soft": 777, "hard": 777}
    limits = {one["component"]: one for one in found["limits"]}
    assert limits["app"]["limits"]["open_files"] == 777
    assert limits["app"]["limits_by"] in ("cgroup-v1", "cgroup-v2", "sampling")
    sidecar = found["sidecar"]
    assert (sidecar["instance"], sidecar["settings_file"]) == ("shop", f"{host.root}/shop.toml")
    with open(f"{shop.runtime}/settings.json", "rb") as file:
        assert sidecar["settings_digest"] == hashlib.file_digest(file, "sha256").hexdigest()
    told = found["host"]
    assert told["name"] == os.uname().nodename
    assert told["cpu"]["count"] == os.cpu_count()
    assert told["cpu"]["affinity"] == sorted(os.sched_getaffinity(0))
    assert {purpose for disk in told["disks"] for purpose in disk["holds"]} == {
        "root", "state", "workdir",
    }  # fmt: skip
    assert any("127.0.0.1/8" in one["addresses"] for one in told["network"])
    shown = host.pillion("environment").stdout
    assert "planted-s3cret" not in shown
    assert re.search(rf"^  pid +{app['pid']}$", shown, re.MULTILINE)
    assert re.search(r"^  rlimit nofile +777 \(hard 777\)$", shown, re.MULTILINE)
