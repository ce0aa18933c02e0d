"""What the kernel's files say, and what is made of files that make no sense."""

from __future__ import annotations

import pytest

from pillion.telemetry.host_parsing import (
    DiskCounts,
    InterfaceCounts,
    Stall,
    parse_cpu,
    parse_disks,
    parse_interfaces,
    parse_load,
    parse_memory,
    parse_numbers,
    parse_pressure,
)
from pillion.telemetry.process_reading import (
    ProcessIo,
    Switches,
    parse_io,
    parse_proportional,
    parse_stat,
    parse_switches,
)

STAT = (
    "4711 (a) R 1 (b c) S 17 4711 1 0 -1 4194304 119 7 3 2 250 50 9 9 20 0 4 0 4871977 3133440 380 "
    "18446744073709551615 1 1 1 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0"
)


def test_a_name_with_brackets_and_blanks_moves_no_field() -> None:
    stat = parse_stat(STAT)
    assert stat is not None
    assert (stat.pid, stat.parent, stat.state, stat.threads, stat.started) == (
        4711,
        17,
        "S",
        4,
        4871977,
    )
    assert (stat.minor_faults, stat.major_faults) == (119, 3)
    assert stat.user_s == pytest.approx(5 * stat.system_s)
    assert stat.virtual_bytes == 3133440
    assert stat.resident_bytes % 380 == 0


@pytest.mark.parametrize("text", ["", "4711", "4711 (a) S", "x (a) " + "1 " * 40, STAT[:60]])
def test_half_a_stat_file_is_none(text: str) -> None:
    assert parse_stat(text) is None


def test_what_a_process_read_and_wrote() -> None:
    text = "rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n"
    assert parse_io(text) == ProcessIo(4096, 8192)
    assert parse_io("") is None
    assert parse_io("read_bytes: x\nwrite_bytes: 1\n") is None


def test_context_switches_and_pss() -> None:
    text = "Name:\tx\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n"
    assert parse_switches(text) == Switches(5, 2)
    assert parse_switches("Name:\tx\n") is None
    assert parse_proportional("0-1 [rollup]\nRss: 9 kB\nPss:   187 kB\nPss_Anon: 1 kB\n") == 191488
    assert parse_proportional("") is None


def test_a_name_of_a_process_cannot_forge_its_counts() -> None:
    text = "Name:\tvoluntary_ctxt_switches: 9\nvoluntary_ctxt_switches: 1\nnonvoluntary_ctxt_switches: 2\n"
    assert parse_switches(text) == Switches(1, 2)


def test_cpu_load_memory_and_numbers() -> None:
    cpu = parse_cpu("cpu  100 0 50 800 10 0 5 1 0 0\ncpu0 1 1 1 1\n")
    assert cpu["idle"] == pytest.approx(8 * cpu["user"])
    assert set(cpu) == {
        "user",
        "nice",
        "system",
        "idle",
        "iowait",
        "interrupt",
        "softirq",
        "steal",
    }
    assert parse_cpu("intr 5\n") == {}
    assert parse_load("0.5 1.25 2 1/9 3\n") == (0.5, 1.25, 2.0)
    assert parse_load("") is None
    assert parse_memory("MemTotal:  10 kB\nHugePages_Total: 3\nBad\n") == {"MemTotal": 10240}
    assert parse_numbers("nr_periods 3\n  oom_kill 1\nflat\nmax max\n") == {
        "nr_periods": 3,
        "oom_kill": 1,
    }


def test_disks_and_interfaces_that_did_nothing_are_left_out() -> None:
    text = (
        "   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        " 254 0 vda 10 2 16 9 20 3 32 8 0 1500 12 1 1 1 1 1 1\n"
        "garbage\n"
    )
    assert parse_disks(text) == {"vda": DiskCounts(10, 8192, 20, 16384, 1.5)}
    text = (
        "Inter-| Receive | Transmit\n face |bytes\n"
        "  eth0: 100 4 1 2 0 0 0 0 200 5 3 4 0 0 0 0\n"
        "  ifb0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        " short: 1 2 3\n"
    )
    assert parse_interfaces(text) == {"eth0": InterfaceCounts(100, 4, 1, 2, 200, 5, 3, 4)}


def test_pressure() -> None:
    text = "some avg10=50.00 avg60=1 avg300=1 total=2000000\nfull avg10=x total=1\nnone total=1\n"
    assert parse_pressure(text) == {"some": Stall(0.5, 2.0)}
