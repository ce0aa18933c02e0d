"""What of the spool may stay: the oldest goes first, what is being written never, and what no receiver has only under drop_oldest."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from spool_files import put

from pillion.keeper.quota import Quota, Segment, choose, list_segments, shipped
from pillion.keeper.ring import BLOCK, DROP_NEWEST, DROP_OLDEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN, LATER = "20260101T000000-aaaaaa", "20260102T000000-bbbbbb"
STREAMS = frozenset({"stdout", "stderr"})


def segment(
    path: str, size: int, modified_s: float, *, first: int = 0, end: int | None = None
) -> Segment:
    return Segment(path, RUN, "stdout", first, end, size, modified_s)


def paths(segments: list[Segment]) -> list[str]:
    return [s.path for s in segments]


FOUR = [segment("a", 10, 1), segment("b", 10, 2), segment("c", 10, 3), segment("d", 10, 4)]


@pytest.mark.parametrize(
    ("quota", "expected"),
    [(40, []), (39, ["a"]), (30, ["a"]), (29, ["a", "b"]), (0, ["a", "b", "c", "d"])],
)
def test_as_many_of_the_oldest_go_as_the_quota_asks_for(quota: int, expected: list[str]) -> None:
    assert paths(choose(FOUR, quota, 0, set())) == expected


def test_the_order_given_does_not_matter() -> None:
    assert paths(choose(reversed(FOUR), 20, 0, set())) == ["a", "b"]


def test_segments_of_one_moment_go_by_offset() -> None:
    same = [segment("new", 10, 1, first=9), segment("old", 10, 1, first=3)]
    assert paths(choose(same, 10, 0, set())) == ["old"]


def test_what_is_being_written_stays_and_the_next_goes_instead() -> None:
    assert paths(choose(FOUR, 20, 0, {"a"})) == ["b", "c"]


def test_what_is_too_old_goes_whatever_the_quota() -> None:
    assert paths(choose(FOUR, 1000, 3, set())) == ["a", "b"]


def test_nothing_is_too_old_while_it_is_written() -> None:
    assert paths(choose(FOUR, 1000, 100, {"d"})) == ["a", "b", "c"]


def test_choosing_changes_nothing() -> None:
    before = list(FOUR)
    choose(FOUR, 0, 0, set())
    assert before == FOUR


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def positions(tmp_path: Path) -> Callable[..., None]:
    directory = tmp_path / "positions"

    def write(sink: str, text: str | None = None, **offsets: int) -> None:
        directory.mkdir(exist_ok=True)
        runs = {RUN: offsets, LATER: offsets}
        (directory / f"{sink}.json").write_text(text or json.dumps({"v": 1, "positions": runs}))

    return write


@pytest.fixture
def quota(tmp_path: Path, spool: Path) -> Callable[..., Quota]:
    def make(size: int = 1000, age_s: float = 1e12, full: str = DROP_OLDEST) -> Quota:
        return Quota(str(spool), STREAMS, size, age_s, full, str(tmp_path / "positions"))

    return make


def aged(path: Path, modified_s: float) -> str:
    os.utime(path, (modified_s, modified_s))
    return str(path)


def left(spool: Path) -> list[int]:
    return sorted(int(name.removesuffix(".seg")) for name in os.listdir(spool / RUN / "stdout"))


def test_segments_are_listed_with_their_ends(spool: Path) -> None:
    first = put(spool / RUN / "stdout", 0, b"a" * 10)
    put(spool / RUN / "stdout", 10, b"b")
    put(spool / RUN / "events", 0, b"{}")
    (spool / RUN / "run.json").write_text("{}")
    (spool / RUN / "stdout" / "note.txt").write_text("")
    found = sorted(list_segments(str(spool), STREAMS), key=lambda s: s.first)
    assert [(s.run, s.stream, s.first, s.end, s.bytes) for s in found] == [
        (RUN, "stdout", 0, 10, 74),
        (RUN, "stdout", 10, None, 65),
    ]
    assert found[0].path == str(first)
    assert found[0].modified_s == first.stat().st_mtime


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list_segments(f"{tmp_path}/absent", STREAMS) == []


def test_within_the_quota_nothing_goes(spool: Path, quota: Callable[..., Quota]) -> None:
    put(spool / RUN / "stdout", 0, b"a" * 36)
    assert quota(100).enforce(set(), 0) is True
    assert left(spool) == [0]


def test_over_the_quota_the_oldest_go(spool: Path, quota: Callable[..., Quota]) -> None:
    for i in range(4):
        aged(put(spool / RUN / "stdout", 36 * i, b"a" * 36), i + 1)
    one = quota(250)
    assert one.enforce(set(), 0) is True
    assert left(spool) == [72, 108]
    assert one.removed_bytes == 200


def test_other_streams_are_not_touched(spool: Path, quota: Callable[..., Quota]) -> None:
    put(spool / RUN / "events", 0, b"a" * 36)
    assert quota(10).enforce(set(), 0) is True
    assert os.listdir(spool / RUN / "events")


def test_the_segment_being_written_may_pass_the_quota_alone_without_holding_anything_up(
    spool: Path, quota: Callable[..., Quota]
) -> None:
    writing = str(put(spool / RUN / "stdout", 0, b"a" * 100))
    assert quota(10).enforce({writing}, 0) is True
    assert left(spool) == [0]


@pytest.mark.parametrize("full", [DROP_NEWEST, BLOCK])
def test_what_no_receiver_has_is_not_removed_for_what_comes(
    spool: Path, quota: Callable[..., Quota], positions: Callable[..., None], full: str
) -> None:
    for i in range(4):
        aged(put(spool / RUN / "stdout", 36 * i, b"a" * 36), i + 1)
    positions("otlp", stdout=71)
    assert quota(300, full=full).enforce(set(), 0) is True
    assert left(spool) == [36, 72, 108]
    assert quota(200, full=full).enforce(set(), 0) is False
    assert left(spool) == [36, 72, 108]
    positions("otlp", stdout=72)
    assert quota(200, full=full).enforce(set(), 0) is True
    assert left(spool) == [72, 108]


@pytest.mark.parametrize("full", [DROP_NEWEST, BLOCK])
def test_the_last_segment_of_an_earlier_run_goes_when_it_is_shipped(
    spool: Path, quota: Callable[..., Quota], positions: Callable[..., None], full: str
) -> None:
    """Or a history of short runs would fill the quota for ever."""
    put(spool / RUN / "stdout", 0, b"a" * 36)
    writing = str(put(spool / LATER / "stdout", 0, b"b" * 36))
    positions("otlp", stdout=35)
    assert quota(150, full=full).enforce({writing}, 0) is False
    positions("otlp", stdout=36)
    assert quota(150, full=full).enforce({writing}, 0) is True
    assert left(spool) == []
    assert os.path.exists(writing)


def test_the_end_of_a_last_segment_is_read_past_damage(
    spool: Path, quota: Callable[..., Quota], positions: Callable[..., None]
) -> None:
    path = put(spool / RUN / "stdout", 0, b"a" * 10, b"b" * 10, b"c" * 10)
    data = bytearray(path.read_bytes())
    data[80] ^= 1
    path.write_bytes(data)
    positions("otlp", stdout=20)
    assert quota(10, full=BLOCK).enforce(set(), 0) is False
    positions("otlp", stdout=30)
    assert quota(10, full=BLOCK).enforce(set(), 0) is True


def test_without_any_sink_everything_counts_as_shipped(
    spool: Path, quota: Callable[..., Quota]
) -> None:
    put(spool / RUN / "stdout", 0, b"a" * 36)
    put(spool / RUN / "stdout", 36, b"a" * 36)
    assert quota(10, full=BLOCK).enforce(set(), 0) is True
    assert left(spool) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"positions": 1}', f'{{"positions": {{"{RUN}": 7}}}}']
)
def test_positions_that_cannot_be_read_ship_nothing(
    spool: Path, quota: Callable[..., Quota], positions: Callable[..., None], text: str
) -> None:
    put(spool / RUN / "stdout", 0, b"a" * 36)
    put(spool / RUN / "stdout", 36, b"a" * 36)
    positions("good", stdout=1000)
    positions("otlp", text or " ")
    assert quota(10, full=BLOCK).enforce(set(), 0) is False
    assert left(spool) == [0, 36]


def test_every_sink_counts(positions: Callable[..., None], tmp_path: Path) -> None:
    one = segment("a", 10, 1, first=0, end=10)
    positions("otlp", stdout=10)
    positions("file", stdout=9)
    assert shipped([one], f"{tmp_path}/positions", lambda _: 0) == []
    positions("file", stdout=10)
    assert shipped([one], f"{tmp_path}/positions", lambda _: 0) == [one]


def test_ends_are_not_asked_for_before_they_matter(
    positions: Callable[..., None], tmp_path: Path
) -> None:
    positions("otlp", stdout=9)

    def end_of(_: Segment) -> int:
        raise AssertionError("the disk was asked")

    last = segment("a", 10, 1, first=10)
    assert shipped([last], f"{tmp_path}/positions", end_of) == []


def test_runs_without_a_segment_are_removed(spool: Path, quota: Callable[..., Quota]) -> None:
    put(spool / RUN / "stdout", 0).unlink()
    (spool / RUN / "run.json").write_text("{}")
    put(spool / LATER / "stdout", 0)
    (spool / "current").mkdir()
    quota().remove_empty_runs("current")
    assert sorted(os.listdir(spool)) == sorted([LATER, "current"])


def test_a_file_that_someone_left_in_the_spool_is_passed_over(
    spool: Path, quota: Callable[..., Quota]
) -> None:
    spool.mkdir()
    (spool / "README").write_text("hands off")
    (spool / RUN).mkdir()
    quota().remove_empty_runs("current")
    assert os.listdir(spool) == ["README"]
