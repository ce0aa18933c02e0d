"""Queries over a spool on disk: filters, merging, the last lines, losses, following."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from logs_spooling import START_NS, Spool
from pillion.errors import UsageError
from pillion.logs.query import ALL_RUNS, Query, follow, query

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.logs.records import Record


def _texts(state: Path, wanted: Query) -> list[str]:
    return [record.text for record in query(str(state), wanted)]


def test_streams_are_merged_by_arrival(tmp_path: Path) -> None:
    out, err = Spool(str(tmp_path)), Spool(str(tmp_path), stream="stderr")
    err.time_ns += 500_000
    for index in range(3):
        out.write(b"out %d\n" % index)
        err.write(b"err %d\n" % index)
    assert _texts(tmp_path, Query()) == ["out 0", "err 0", "out 1", "err 1", "out 2", "err 2"]
    assert _texts(tmp_path, Query(streams=("stderr",))) == ["err 0", "err 1", "err 2"]


def test_an_unfinished_last_line_is_shown(tmp_path: Path) -> None:
    Spool(str(tmp_path)).write(b"one\ntwo")
    assert _texts(tmp_path, Query()) == ["one", "two"]


def test_the_last_lines_are_the_last_over_segments(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for index in range(50):
        spool.roll()
        spool.write(b"line %d\nand half" % index)
    assert _texts(tmp_path, Query(limit=2)) == ["and halfline 49", "and half"]
    assert len(_texts(tmp_path, Query(limit=20))) == 20
    assert len(_texts(tmp_path, Query(limit=500))) == 51


def test_level_and_grep_leave_out_what_does_not_match_but_never_a_loss(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.write(b"INFO a\nERROR b\nplain\n")
    spool.drop(100)
    spool.write(b"rest of a lost line\nWARN c\n")
    records = list(query(str(tmp_path), Query(severity=13)))
    assert [record.text for record in records] == [
        "ERROR b",
        "100 bytes of stdout were lost (dropped, and the 20 that follow up to the next line)",
        "WARN c",
    ]
    assert (records[1].offset, records[1].lost, records[1].lost_to) == (21, 100, 141)
    assert _texts(tmp_path, Query(grep="^pl"))[0] == "plain"


def test_since_and_until_are_by_arrival(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    for index in range(6):
        if index % 2 == 0:
            spool.roll()
        spool.write(b"%d\n" % index)
    milli = 1_000_000
    wanted = Query(since_ns=START_NS + 2 * milli, until_ns=START_NS + 4 * milli)
    assert _texts(tmp_path, wanted) == ["2", "3", "4"]


def test_the_newest_run_or_all_or_one(tmp_path: Path) -> None:
    Spool(str(tmp_path), run="20261121T000000-aaaa").write(b"old\n")
    Spool(str(tmp_path), run="20261122T000000-bbbb").write(b"new\n")
    assert _texts(tmp_path, Query()) == ["new"]
    assert _texts(tmp_path, Query(run=ALL_RUNS)) == ["old", "new"]
    assert _texts(tmp_path, Query(run=ALL_RUNS, limit=1)) == ["new"]
    assert _texts(tmp_path, Query(run="20261121T000000-aaaa")) == ["old"]
    with pytest.raises(UsageError, match="cannot find the run x"):
        query(str(tmp_path), Query(run="x"))


def test_a_bad_pattern_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("cannot search for '('")):
        query(str(tmp_path), Query(grep="("))


def test_no_spool_is_no_records(tmp_path: Path) -> None:
    assert _texts(tmp_path, Query()) == []


def test_bytes_that_are_not_utf8_stay_readable(tmp_path: Path) -> None:
    Spool(str(tmp_path)).write(b"caf\xe9 \xc3\xa9\n")
    assert _texts(tmp_path, Query()) == ["caf\\xe9 é"]


def test_follow_goes_on_with_what_arrives_and_with_the_next_run(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), run="20261121T000000-aaaa")
    spool.write(b"0\n1\n2\nunfin")

    async def scenario() -> list[Record]:
        found: list[Record] = []
        following = follow(str(tmp_path), Query(limit=2))
        async for record in following:
            found.append(record)
            if record.text == "2":
                spool.write(b"ished\n")
            elif record.text == "unfinished":
                Spool(str(tmp_path), run="20261122T000000-bbbb", stream="stderr").write(b"next\n")
            elif record.text == "next":
                break
        await following.aclose()
        return found

    records = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert [record.text for record in records] == ["1", "2", "unfinished", "next"]
