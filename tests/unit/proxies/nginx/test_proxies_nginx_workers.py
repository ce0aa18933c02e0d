"""Workers of an nginx as /proc tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.proxies.nginx.workers import Workers, workers

if TYPE_CHECKING:
    from pathlib import Path

WORKER = "nginx: worker process"
OLD = "nginx: worker process is shutting down"


def process(proc: Path, pid: int, parent: int, started: int, title: str) -> None:
    place = proc / str(pid)
    place.mkdir()
    fields = ["S", str(parent), *["0"] * 17, str(started)]
    # A name may hold anything, its closing parenthesis too.
    (place / "stat").write_text(f"{pid} (ng) inx) {' '.join(fields)} 0 0\n")
    (place / "cmdline").write_bytes(title.encode() + b"\0" * 20)


def test_present_and_old_workers_are_told_apart(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 100, "nginx: master process nginx -c x")
    process(tmp_path, 11, 10, 101, OLD)
    process(tmp_path, 12, 10, 102, OLD)
    process(tmp_path, 13, 10, 150, OLD)
    process(tmp_path, 14, 10, 200, WORKER)
    process(tmp_path, 15, 10, 200, "nginx: cache manager process")
    process(tmp_path, 16, 99, 200, WORKER)
    found = workers(10, str(tmp_path))
    assert found == Workers(frozenset({14}), frozenset({11, 12, 13}), old_loads=2)


def test_the_kernels_list_of_children_is_used_where_there_is_one(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 100, "nginx: master process nginx -c x")
    process(tmp_path, 14, 10, 200, WORKER)
    process(tmp_path, 15, 10, 200, WORKER)
    (tmp_path / "10" / "task" / "10").mkdir(parents=True)
    (tmp_path / "10" / "task" / "10" / "children").write_text("14 4711 ")
    assert workers(10, str(tmp_path)) == Workers(frozenset({14}))


def test_a_master_that_is_gone_has_none(tmp_path: Path) -> None:
    assert workers(10, str(tmp_path)) == Workers()
