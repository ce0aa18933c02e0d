"""Plans for the cases that matter, command by command; and the few that run time cannot express."""

from __future__ import annotations

from pillion.proxies.haproxy.drift import find_drift
from pillion.proxies.haproxy.level import REPLACED_MOST, Plan, Remove, Say, make_plan
from pillion.proxies.haproxy.running import Running
from pillion.proxies.haproxy.servers import Configuration, read_configuration


def file(*servers: str, more: str = "") -> Configuration:
    lines = "".join(f"  server {server}\n" for server in servers)
    return read_configuration(f"backend s\n{more}\n{lines}")


def runs(*servers: Running) -> dict[str, dict[str, Running]]:
    return {"s": {one.name: one for one in servers}}


def up(name: str, port: int = 1, weight: int = 1) -> Running:
    return Running(name, "127.0.0.1", port, weight)


def commands(plan: Plan) -> list[str]:
    assert not plan.why, plan.why
    return [
        step.command if isinstance(step, Say) else f"remove {'/'.join(step.place)}"
        for step in plan.steps
    ]


def test_who_comes_serves_before_who_goes_stops() -> None:
    plan = make_plan(
        file("a 127.0.0.1:1 check"), file("b 127.0.0.1:2 check weight 3"), runs(up("a"))
    )
    assert commands(plan) == [
        "add server s/b 127.0.0.1:2 weight 3 pool-purge-delay 5s pool-max-conn -1 check",
        "enable health s/b",
        "set server s/b state ready",
        "set server s/a state maint",
    ]
    assert plan.leaving == (("s", "a"),)
    assert plan.changes == ("s/b added", "s/a removed")


def test_weights_rise_before_others_fall() -> None:
    plan = make_plan(
        file("a 127.0.0.1:1", "b 127.0.0.1:1 weight 0"),
        file("a 127.0.0.1:1 weight 0", "b 127.0.0.1:1"),
        runs(up("a"), up("b", weight=0)),
    )
    assert commands(plan) == ["set server s/b weight 1", "set server s/a weight 0"]


def test_who_comes_back_has_its_address_before_it_serves() -> None:
    gone = Running("a", "127.0.0.1", 2, 1, maint=True)
    plan = make_plan(
        file("b 127.0.0.1:1"), file("a 127.0.0.1:1"), runs(gone, up("b")), {("s", "a"): ()}
    )
    assert commands(plan) == [
        "set server s/a addr 127.0.0.1 port 1",
        "set server s/a state ready",
        "set server s/b state maint",
    ]


def test_other_options_take_a_server_away_for_as_long_as_its_sessions_last() -> None:
    old = file("a 127.0.0.1:1", "b 127.0.0.1:1")
    new = file("a 127.0.0.1:1 maxconn 9", "b 127.0.0.1:1")
    plan = make_plan(old, new, runs(up("a"), up("b")))
    assert commands(plan) == [
        "set server s/a state maint",
        "remove s/a",
        "add server s/a 127.0.0.1:1 weight 1 pool-purge-delay 5s pool-max-conn -1 maxconn 9",
        "set server s/a state ready",
    ]
    down = Running("b", "127.0.0.1", 1, 1, up=False)
    alone = make_plan(old, new, runs(up("a"), down))
    assert alone == Plan(why="s/a: nobody would serve while it changes")


def test_other_options_for_many_servers_are_a_reload() -> None:
    names = [f"n{number}" for number in range(REPLACED_MOST + 2)]
    old = file(*(f"{name} 127.0.0.1:1" for name in names))
    most = [f"{name} 127.0.0.1:1 maxconn 9" for name in names[1:]]
    plan = make_plan(old, file("n0 127.0.0.1:1", *most), runs(*(up(name) for name in names)))
    assert plan == Plan(why=f"more than {REPLACED_MOST} servers get other options")


def test_what_nobody_knows_the_options_of_is_made_anew() -> None:
    left = Running("a", "127.0.0.1", 1, 1, maint=True)
    plan = make_plan(file("b 127.0.0.1:1"), file("a 127.0.0.1:1"), runs(left, up("b")))
    assert plan.steps[0] == Remove(("s", "a"))
    assert commands(plan)[-1] == "set server s/b state maint", "only when there is another one"


def test_servers_that_run_time_cannot_express_are_a_reload_only_when_they_change() -> None:
    name = "a shop.example:1 cookie x"
    running = runs(Running("a", "10.9.8.7", 1, 1), up("b"))
    old = file(name, "b 127.0.0.1:1")
    assert commands(make_plan(old, file(name, "b 127.0.0.1:1 weight 2"), running)) == [
        "set server s/b weight 2"
    ]
    assert "s/a: " in make_plan(old, file("b 127.0.0.1:1"), running).why
    assert (
        "s/a: " in make_plan(old, file("a other.example:1 cookie x", "b 127.0.0.1:1"), running).why
    )
    assert (
        "s/a: " in make_plan(old, file("a shop.example:1 cookie y", "b 127.0.0.1:1"), running).why
    )
    assert "s/c: " in make_plan(old, file(name, "b 127.0.0.1:1", "c x.example:1"), running).why
    assert commands(make_plan(old, file(f"{name} disabled", "b 127.0.0.1:1"), running)) == [
        "set server s/a state maint"
    ]


def test_a_static_balance_takes_states_and_addresses_but_no_weights() -> None:
    static = "  balance static-rr"
    old, running = file("a 127.0.0.1:1", more=static), runs(up("a"))
    plan = make_plan(old, file("a 127.0.0.1:2 disabled", more=static), running)
    assert commands(plan) == ["set server s/a addr 127.0.0.1 port 2", "set server s/a state maint"]
    assert "static-rr" in make_plan(old, file("a 127.0.0.1:1 weight 2", more=static), running).why
    assert "static-rr" in make_plan(old, file(more=static), running).why


def test_servers_of_a_template_are_left_alone() -> None:
    more = "  server-template t 1-3 shop.example:80"
    running = runs(up("t1"), up("a", weight=7))
    same = file("a 127.0.0.1:1", more=more)
    assert make_plan(same, same, running) == Plan()
    assert "server-template" in make_plan(same, file("a 127.0.0.1:2", more=more), running).why


def test_an_agent_has_its_way_with_weight_and_state() -> None:
    text = "a 127.0.0.1:1 agent-check weight 5"
    state = Running("a", "127.0.0.1", 1, 50, drain=True)
    assert find_drift(file(text), runs(state), {}).level
    assert "agent-check" in make_plan(file(text), file(), runs(state)).why


def test_who_left_is_no_drift() -> None:
    left = Running("z", "127.0.0.1", 1, 1, maint=True)
    drift = find_drift(file("a 127.0.0.1:1"), runs(up("a"), left), {})
    assert drift.level
    assert drift.leaving == (("s", "z"),)


def test_a_stranger_that_serves_is_drift() -> None:
    drift = find_drift(file("a 127.0.0.1:1"), runs(up("a"), up("z")), {})
    assert drift.differences == ("s/z removed",)
    assert commands(drift.plan) == ["set server s/z state maint"]
    assert drift.plan.leaving == (("s", "z"),)
    assert drift.leaving == ()


def test_a_backend_without_servers_left_is_what_the_file_says() -> None:
    plan = make_plan(file("a 127.0.0.1:1"), file(), runs(up("a")))
    assert commands(plan) == ["set server s/a state maint"]
    assert make_plan(file(), file(), {}) == Plan()
