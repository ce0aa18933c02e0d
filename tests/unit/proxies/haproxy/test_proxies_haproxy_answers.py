"""What HAProxy says - of a configuration, of its processes, of its servers - as plain data, whatever it says."""

from __future__ import annotations

import pytest

from pillion.proxies.haproxy.addresses import Bound, bound_addresses
from pillion.proxies.haproxy.master import Outcome, Processes, Worker, judge, read_processes
from pillion.proxies.haproxy.messages import MESSAGES_MOST, alerts, read_messages, since_reload
from pillion.proxies.haproxy.running import Garbage, Running, read_servers_state
from pillion.proxies.haproxy.runtime import accepted, idle_server

_OUTPUT = """\
[NOTICE]   (22959) : haproxy version is 2.6.12-1+deb12u4
[NOTICE]   (22959) : path to executable is /usr/sbin/haproxy
[WARNING]  (22962) : config : missing timeouts for frontend 'f'.
   | While not properly invalid, you will certainly encounter various problems
   | with such a configuration.
[ALERT]    (14622) : config : parsing [/srv/c/haproxy.cfg:26] : unknown keyword 'GARBAGE' in 'backend' section
[ALERT]    (22962) : config : [/srv/c/sub/x.cfg:9] : 'server c/s1' : could not resolve address 'nohost.invalid'.
[ALERT]    (14622) : Binding [/etc/other.cfg:16] for frontend f: cannot bind socket (Address already in use) for [127.0.0.1:19001]
[ALERT]    (22959) : config : parsing [b.cfg:7]: 'http-request' expects 'allow', but got 'foo'.
[ALERT]    (14622) : config : Error(s) found in configuration file : a.cfg
[ALERT]    (14622) : config : Fatal errors found in configuration.
"""


def test_messages_name_file_line_and_words() -> None:
    found = [(one.file, one.line, one.message) for one in alerts(_OUTPUT, "/srv/c/")]
    assert found == [
        ("haproxy.cfg", 26, "unknown keyword 'GARBAGE' in 'backend' section"),
        ("sub/x.cfg", 9, "'server c/s1' : could not resolve address 'nohost.invalid'."),
        (
            "/etc/other.cfg",
            16,
            "Binding [/etc/other.cfg:16] for frontend f: cannot bind socket (Address already in use) for [127.0.0.1:19001]",
        ),
        ("b.cfg", 7, "'http-request' expects 'allow', but got 'foo'."),
    ]


def test_warnings_come_after_alerts_with_the_lines_that_continue_them() -> None:
    last = read_messages(_OUTPUT)[-1]
    assert last.severity == "warning"
    assert last.place.line == 0
    assert last.place.message == (
        "missing timeouts for frontend 'f'. While not properly invalid, you will certainly encounter various problems "
        "with such a configuration."
    )


def test_an_older_format_is_read_too() -> None:
    [place] = alerts("[ALERT] 327/005859 (7) : parsing [h.cfg:3] : unknown keyword 'x'\n")
    assert (place.file, place.line, place.message) == ("h.cfg", 3, "unknown keyword 'x'")


def test_a_summary_is_said_when_there_is_nothing_else() -> None:
    [place] = alerts("[ALERT]    (1) : config : Fatal errors found in configuration.\n")
    assert place.message == "Fatal errors found in configuration."


@pytest.mark.parametrize("output", ["", "\0\0", "[ALERT]", "[ALERT] () : x", "no such file\n" * 99])
def test_other_words_are_no_messages(output: str) -> None:
    assert alerts(output) == ()


def test_of_many_messages_the_first_are_kept() -> None:
    many = "".join(f"[ALERT]    (1) : parsing [h.cfg:{n}] : {'x' * 5000}\n" for n in range(1, 999))
    found = read_messages(many)
    assert len(found) == MESSAGES_MOST
    assert all(len(one.place.message) <= 600 for one in found)


def test_words_about_an_earlier_load_are_left_out() -> None:
    words = "[ALERT] (1) : old\n[NOTICE]   (1) : Reloading HAProxy\n[ALERT] (1) : new\n"
    assert since_reload(words).endswith("[ALERT] (1) : new\n")
    assert "old" not in since_reload(words)
    assert since_reload("[ALERT] (1) : old\n") == "[ALERT] (1) : old\n"


_PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1162            master          5 [failed: 2]   0d00h02m07s     2.6.12-1+deb12u4
# workers
1271            worker          1               0d00h00m00s     2.6.12
# old workers
1233            worker          3               0d00h00m43s     2.6.12
1200            worker          4               0d00h01m43s     2.6.12
# programs
1244            foo             0               0d00h00m00s     -
"""


def test_show_proc_tells_present_workers_from_old_ones() -> None:
    assert read_processes(_PROC) == Processes(
        1162, 5, 2, (Worker(1271, 1),), (Worker(1233, 3), Worker(1200, 4))
    )
    assert read_processes(_PROC.replace("5 [failed: 2]", "5")) == Processes(
        1162, 5, 0, (Worker(1271, 1),), (Worker(1233, 3), Worker(1200, 4))
    )


@pytest.mark.parametrize(
    "answer", ["", "Unknown command", "1 worker x y z", "\0", "1 master", "a b c"]
)
def test_another_answer_is_no_process(answer: str) -> None:
    assert read_processes(answer) is None


def processes(reloads: int, failed: int, *pids: int, master: int = 1) -> Processes:
    return Processes(master, reloads, failed, tuple(Worker(pid, 0) for pid in pids), ())


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        (processes(1, 0, 10), processes(1, 0, 10), Outcome()),
        (processes(1, 0, 10), processes(2, 0, 11), Outcome(done=True)),
        (processes(1, 0, 10), processes(2, 0, 10), Outcome()),
        (processes(1, 0, 10), processes(2, 0), Outcome()),
        (processes(1, 0, 10), processes(2, 1, 10), Outcome(failed=True)),
        (processes(2, 1, 10), processes(2, 1, 10), Outcome()),
        (processes(2, 1, 10), processes(3, 2, 10), Outcome(failed=True)),
        (processes(2, 1, 10), processes(3, 0, 11), Outcome(done=True)),
        (processes(1, 0, 10), processes(2, 0, 10, 11), Outcome(done=True)),
        (None, processes(0, 0, 10), Outcome(done=True)),
        (None, processes(0, 0), Outcome()),
        (processes(9, 0, 10), processes(0, 0, 20, master=2), Outcome(done=True)),
    ],
)
def test_a_reload_is_judged_by_the_processes(
    before: Processes | None, now: Processes, outcome: Outcome
) -> None:
    assert judge(before, now) == outcome


_STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
4 b 1 up 127.0.0.1 2 0 10 1 4 15 3 4 6 0 0 0 - 19001 - 0 0 - - 0
4 b 2 forced ::1 0 5 1 1 8 1 0 0 14 0 0 0 - 19002 - 0 0 - - 0
4 b 3 configured 127.0.0.1 2 4 1 1 8 1 0 0 6 0 0 0 - 19002 - 0 0 - - 0
4 b 4 drained 127.0.0.1 2 8 1 1 8 1 0 0 2 0 0 0 - 19002 - 0 0 - - 0
5 c 1 down - 0 0 1 1 8 1 0 2 0 0 0 0 - 0 - 0 0 - - 0
"""


def test_the_state_of_servers_tells_what_somebody_set_from_what_checks_made_of_it() -> None:
    state = read_servers_state(_STATE)
    assert state["b"]["up"] == Running("up", "127.0.0.1", 19001, 10, unchanged_s=4)
    assert state["b"]["forced"].maint
    assert not state["b"]["configured"].maint, "it was disabled in the file, and set to work since"
    assert state["b"]["drained"].drain
    assert state["b"]["drained"].checks_off
    assert not state["c"]["down"].up
    assert [one.serving for one in state["b"].values()] == [True, False, True, False]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "2\n# be_id be_name\n",
        "1\nno header\n",
        "1\n# be_id be_name srv_id\n4 b 1\n",
        _STATE + "4 b 9\n",
        _STATE.replace("19001", "port"),
        "Permission denied\n",
    ],
)
def test_garbage_is_no_state(answer: str) -> None:
    with pytest.raises(Garbage):
        read_servers_state(answer)


def test_columns_are_found_by_name() -> None:
    moved = (
        _STATE.replace("# be_id", "# new be_id")
        .replace("\n4 b", "\nx 4 b")
        .replace("\n5 c", "\nx 5 c")
    )
    assert read_servers_state(moved) == read_servers_state(_STATE)


@pytest.mark.parametrize(
    ("command", "answer", "good"),
    [
        ("add server b/a 1.1.1.1:1", "New server registered.", True),
        ("add server b/a 1.1.1.1:1", "", False),
        (
            "add server b/a 1.1.1.1:1",
            "Already exists a server with the same name in backend.",
            False,
        ),
        ("del server b/a", "Server deleted.", True),
        ("del server b/a", "Server still has connections attached to it, cannot remove it.", False),
        (
            "set server b/a addr 1.1.1.1 port 1",
            "no need to change the addr, port changed from '1' to '2'",
            True,
        ),
        ("set server b/a addr x port 1", "Invalid addr 'x' by 'stats socket command'", False),
        ("set server b/a addr 1.1.1.1 port 1", "", False),
        ("set server b/a state ready", "", True),
        ("set server b/a state ready", "No such server.", False),
        ("enable health b/a", "Permission denied", False),
    ],
)
def test_answers_are_taken_at_their_word_only_when_they_say_no(
    command: str, answer: str, good: bool
) -> None:
    assert accepted(command, answer) == good


def test_a_server_without_connections_in_use_is_idle() -> None:
    answer = (
        "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est\n"
        "b/a 4/1 127.0.0.1 19001 - 5000 0 1 1\nb/c 4/2 ::1 19002 - 5000 3 3 1\nb/d 4/3 - 0 - 5000 0 3 1\n"
    )
    assert idle_server(answer, "b/a") == ("127.0.0.1", 19001)
    assert idle_server(answer, "b/c") is None
    assert idle_server(answer, "b/d") is None
    assert idle_server("", "b/a") is None
    assert idle_server("Can't find backend.", "b/a") is None


def test_addresses_to_bind_are_those_that_can_be_known() -> None:
    text = """\
global
    stats socket 127.0.0.1:1
frontend f
    bind 127.0.0.1:80,[::1]:81 ssl
    bind :82
    bind *:83
    bind unix@/run/x.sock
    bind 127.0.0.1:84 interface eth9
    bind 127.0.0.1:85-86
    bind ${A}:87
    bind fd@3
listen l
    bind ipv6@:88
backend b
    bind 127.0.0.1:89
"""
    anybody = "0.0.0.0"
    assert bound_addresses(text) == (
        Bound("127.0.0.1", 80, 4),
        Bound("::1", 81, 4),
        Bound(anybody, 82, 5),
        Bound(anybody, 83, 6),
        Bound("::", 88, 13),
    )
