"""The guard over whatever sources say, in whatever order: nothing is doubted for ever that may be believed, nor believed before its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pillion.proxies.applying.guard import NOBODY, Accept, Refuse, decide
from pillion.settings.proxies import Guard

IDS = st.frozensets(st.sampled_from("abcdefgh"))
HOLDINGS = st.dictionaries(st.sampled_from(["service s", "service t", "tree u"]), IDS)
GUARDS = st.builds(
    Guard,
    empty=st.booleans(),
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    hold_s=st.sampled_from([0.0, 10.0, 30.0]),
)


@given(GUARDS, HOLDINGS, HOLDINGS, st.floats(0, 1e6))
def test_growth_is_always_believed(
    guard: Guard, before: dict[str, frozenset[str]], more: dict[str, frozenset[str]], now_s: float
) -> None:
    after = {name: ids | more.get(name, frozenset()) for name, ids in before.items()}
    assert isinstance(decide(guard, before, after, now_s), Accept)


@given(GUARDS, HOLDINGS, HOLDINGS, st.floats(0, 1e6))
def test_what_stays_so_is_believed_at_the_time_that_was_told(
    guard: Guard, before: dict[str, frozenset[str]], after: dict[str, frozenset[str]], now_s: float
) -> None:
    found = decide(guard, before, after, now_s)
    if isinstance(found, Accept):
        return
    assert found.reason
    assert found.held
    if found.until_s is None:
        assert not guard.hold_s
        assert isinstance(decide(guard, before, after, now_s + 1e9, found.held), Refuse)
    else:
        assert found.until_s == now_s + guard.hold_s
        assert isinstance(decide(guard, before, after, found.until_s, found.held), Accept)


@given(GUARDS, HOLDINGS, st.lists(st.tuples(st.floats(0, 20), HOLDINGS), max_size=12))
def test_nothing_doubtful_is_believed_before_its_time(
    guard: Guard,
    before: dict[str, frozenset[str]],
    steps: list[tuple[float, dict[str, frozenset[str]]]],
) -> None:
    now_s, held = 0.0, NOBODY
    empty_since: dict[str, float] = {}
    for wait_s, after in steps:
        now_s += wait_s
        for name in before:
            if before[name] and name in after and not after[name]:
                empty_since.setdefault(name, now_s)
            else:
                empty_since.pop(name, None)
        found = decide(guard, before, after, now_s, held)
        if isinstance(found, Refuse):
            held = found.held
            continue
        held = NOBODY
        if guard.empty:
            assert all(
                guard.hold_s and now_s - since_s >= guard.hold_s for since_s in empty_since.values()
            )
        before, empty_since = after, {}
