"""The exposition format, for whatever components count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.api.metrics import SAMPLES_PER_COMPONENT, render
from pillion.model.component import Component, KeeperFacts, Status, Usage

if TYPE_CHECKING:
    from pillion.model.stats import Stats


def page(*components: Component, own: Stats | None = None) -> list[str]:
    status = Status(instance="i", run="r", keeper=KeeperFacts(pid=1), components=[*components])
    return render(status, own or {}, "0.1.0").decode().splitlines()


def test_all_samples_of_a_name_stand_together_under_one_type() -> None:
    one = Component(name="app", state="running", pid=1, usage=Usage(cpu_s=1.5))
    two = Component(name="agent", state="running", pid=2, usage=Usage(cpu_s=0.5))
    lines = page(one, two)
    at = lines.index("# TYPE pillion_component_cpu_seconds_total counter")
    assert lines[at + 1 : at + 3] == [
        'pillion_component_cpu_seconds_total{component="app"} 1.5',
        'pillion_component_cpu_seconds_total{component="agent"} 0.5',
    ]
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


def test_what_is_unknown_has_no_sample() -> None:
    lines = page(Component(name="app", state="stopped"))
    assert not [line for line in lines if line.startswith("pillion_component_memory_bytes")]
    assert 'pillion_component_state{component="app",state="stopped"} 1' in lines


def test_own_numbers_are_fresher_than_the_last_heartbeats() -> None:
    agent = Component(name="agent", state="running", pid=1, stats={"tasks": 1})
    assert 'pillion_tasks{component="agent"} 2' in page(agent, own={"tasks": 2})


def test_another_versions_stats_break_nothing() -> None:
    stats: dict[str, object] = {
        "nested": {"label": {"a\nb": 1, "c": "text"}, "flat": 3},
        "text": "x",
        "list": [1],
        "none": None,
        "yes": True,
        "Bad": 1,
        "bad label": 1,
        "labelled": {"bad label": {"x": 1}},
    }
    lines = page(Component(name="x", state="running", stats=stats))
    assert 'pillion_nested{component="x",label="a\\nb"} 1' in lines
    assert 'pillion_yes{component="x"} 1' in lines
    assert "pillion_metrics_dropped_total 3" in lines


def test_too_many_samples_are_left_out_and_counted() -> None:
    stats: dict[str, object] = {f"n{i}": i for i in range(SAMPLES_PER_COMPONENT + 7)}
    lines = page(Component(name="x", state="running", stats=stats))
    assert "pillion_metrics_dropped_total 7" in lines


def test_without_a_keeper_our_own_numbers_are_there() -> None:
    text = render(None, {"tasks": 2}, "0.1.0").decode()
    assert 'pillion_tasks{component="agent"} 2' in text
