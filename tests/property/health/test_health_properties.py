"""Thresholds against a plain count, the board against all that may happen to it, and outputs of any kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pillion.health.board import Board, Run
from pillion.health.check import CRITICAL, KINDS, LIVENESS, STATUSES, Check, Probe, Tcp, Ttl
from pillion.health.result import OUTPUT_BYTES, Result, Verdict, clip
from pillion.health.thresholds import initial, observe

TCP = Tcp("127.0.0.1", 1)
PROBES: list[Probe] = [TCP, Ttl(5.0), Ttl(60.0)]
VERDICTS = st.sampled_from(Verdict)
NAMES = ("a", "b", "c", "d")


@given(st.one_of(st.text(), st.binary()), st.integers(8, 2000))
def test_outputs_are_bounded_text(said: str | bytes, limit: int) -> None:
    kept = clip(said, limit)
    assert len(kept.encode()) <= limit
    assert len(clip(said).encode()) <= OUTPUT_BYTES
    assert all(c.isprintable() or c in "\n\t" for c in kept)


@given(
    st.lists(VERDICTS, max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(KINDS),
)
def test_a_status_changes_after_so_many_in_a_row_and_never_sooner(
    verdicts: list[Verdict], rise: int, fall: int, kind: str
) -> None:
    check = Check(name="db", probe=TCP, kind=kind, rise=rise, fall=fall)
    state = initial(check, 0.0)
    up: bool | None = None  # what a plain count over the whole history says
    for at in range(len(verdicts)):
        state = observe(check, state, Result(verdicts[at]), float(at))
        last = [one is not Verdict.FAIL for one in verdicts[: at + 1]]
        if len(last) >= fall and not any(last[-fall:]):
            up = False
        elif len(last) >= rise and all(last[-rise:]):
            up = True
        assert state.decided == (up is not None)
        if up is not None:
            assert (state.status != CRITICAL) == up
        else:
            assert (state.status != CRITICAL) == (kind == LIVENESS)


@st.composite
def checks(draw: st.DrawFn) -> Check:
    return Check(
        name=draw(st.sampled_from(NAMES)),
        probe=draw(st.sampled_from(PROBES)),
        kind=draw(st.sampled_from(KINDS)),
        interval_s=draw(st.sampled_from([0.1, 1.0, 10.0])),
        rise=draw(st.integers(1, 2)),
        fall=draw(st.integers(1, 2)),
        grace_s=draw(st.sampled_from([0.0, 5.0])),
    )


STEPS = st.one_of(
    st.tuples(st.just("put"), checks(), st.booleans()),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("begin"), st.none(), st.none()),
    st.tuples(st.just("stop"), st.none(), st.none()),
    st.tuples(st.just("resume"), st.booleans(), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 100), st.none()),
    st.tuples(st.just("land"), VERDICTS, st.booleans()),
    st.tuples(st.just("tell"), st.sampled_from(NAMES), VERDICTS),
)


@given(st.lists(STEPS, max_size=60), st.floats(0, 1, exclude_max=True))
def test_whatever_happens_the_board_stays_whole(
    steps: list[tuple[str, object, object]], random: float
) -> None:
    board = Board(lambda: random, lambda: "now", at_once=2)
    now = 0.0
    flying: list[Run] = []
    for what, one, other in steps:
        if what == "put":
            assert isinstance(one, Check)
            board.put(one, now, quiet=bool(other))
        elif what == "remove":
            board.remove(str(one), now)
        elif what == "begin":
            board.begin(now)
        elif what == "stop":
            board.stop()
        elif what == "resume":
            board.resume(now, started=bool(one))
        elif what == "wait":
            assert isinstance(one, float)
            now += one
        elif what == "land" and flying:
            assert isinstance(one, Verdict)
            run = flying.pop(0)
            board.finished(run.token, Result(one, "", 100.0 if other else 0.1), now)
        elif what == "tell" and isinstance(other, Verdict):
            entry = board.entries.get(str(one))
            if entry is not None and isinstance(entry.check.probe, Ttl):
                board.tell(str(one), Result(other), now)
        runs, _ = board.due(now)
        flying += runs
        assert board.under_way == len(flying) <= 2
        assert board.status(KINDS) in STATUSES
        assert set(board._queue) <= set(board.entries)
        assert all(name in board.entries for name in board._agenda._current)
        if not board.awake or not board.entries:
            assert board.wake_at() is None
            continue
        for name, entry in board.entries.items():
            # Whatever counts and is asked is queued, under way or due: nothing falls silent.
            if (
                isinstance(entry.check.probe, Tcp)
                and board.started
                and entry.check.kind != "startup"
            ):
                assert entry.token or name in board._agenda
