"""The policies against models that are slow and plain: whatever happens in whatever order, both say the same."""

from __future__ import annotations

import math
from collections import Counter, deque
from fractions import Fraction
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pillion.ambassador.balance import Ring, Turns
from pillion.ambassador.breaker import Breaker
from pillion.ambassador.budget import Budget
from pillion.ambassador.concurrency import Gate, Ticket
from pillion.ambassador.endpoint import Endpoint
from pillion.ambassador.rate import Bucket, Buckets
from pillion.ambassador.retry import Failure, RetryPolicy
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.window import Window
from pillion.settings.policies import NO_BREAKER, RETRY_CONDITIONS, Retry

READY = 1
few = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# Quarters of a second: exact as floats, and often the same twice.
steps = st.integers(0, 40).map(lambda quarters: quarters / 4)


def endpoint(name: str, weight: int, number: int = 0) -> Endpoint:
    spec = EndpointSpec(name, name, 80, weight=weight)
    breaker = Breaker(NO_BREAKER, lambda: True, lambda *_: None)
    made = Endpoint(spec, spec.key, breaker, 0.0, number)
    made.place = READY
    return made


@few
@given(st.lists(st.tuples(steps, st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_a_window_counts_what_is_in_its_ten_newest_buckets(
    events: list[tuple[float, int, int]],
) -> None:
    window = Window(5.0)
    now = 100.0
    seen: list[tuple[int, int, int]] = []
    for step_s, first, second in events:
        now += step_s
        window.add(now, first, second)
        bucket = int(now / 0.5)
        seen.append((bucket, first, second))
        kept = [one for one in seen if one[0] > bucket - 10]
        assert window.first == sum(one[1] for one in kept)
        assert window.second == sum(one[2] for one in kept)


@few
@given(
    st.integers(0, 8),
    st.integers(0, 4),
    st.lists(st.tuples(steps, st.integers(0, 10), st.integers(0, 10)), max_size=40),
)
def test_retries_stay_within_share_and_minimum(
    eighths: int, minimum: int, events: list[tuple[float, int, int]]
) -> None:
    budget = Budget(eighths / 8, minimum)
    now = 100.0
    requests: list[int] = []
    retries: list[int] = []
    for step_s, asked, wanted in events:
        now += step_s
        second = int(now)
        for _ in range(asked):
            budget.request(now)
            requests.append(second)
        for _ in range(wanted):
            recent = sum(one > second - 10 for one in requests)
            spent = sum(one > second - 10 for one in retries)
            may = spent + 1 <= minimum * 10 + eighths * recent / 8
            assert budget.take(now) == may
            if may:
                retries.append(second)


@few
@given(
    st.integers(1, 50),
    st.integers(1, 20),
    st.lists(st.integers(0, 200), min_size=1, max_size=80),
)
def test_a_bucket_grants_what_the_plain_one_grants(rate: int, burst: int, gaps: list[int]) -> None:
    bucket = Bucket(float(rate), burst, 64.0)
    keyed = Buckets(float(rate), burst)
    tokens = Fraction(burst)
    now = Fraction(64)
    for gap in gaps:
        now += Fraction(gap, 256)
        tokens = min(Fraction(burst), tokens + Fraction(gap, 256) * rate)
        wait_s = bucket.take(float(now))
        assert keyed.take("key", float(now)) == wait_s
        if abs(tokens - 1) < Fraction(1, 10**6):
            # On the edge, floats may be a billionth off.
            tokens = tokens - 1 if wait_s == 0.0 else tokens
            continue
        assert (wait_s == 0.0) == (tokens >= 1)
        if wait_s:
            assert math.isclose(wait_s, (1 - tokens) / rate, abs_tol=1e-6)
        else:
            tokens -= 1


@few
@given(
    st.integers(0, 3),
    st.integers(0, 4),
    st.lists(
        st.tuples(
            st.sampled_from(("come", "come", "come", "leave", "give up", "configure")),
            st.integers(0, 9),
        ),
        max_size=60,
    ),
)
def test_a_gate_is_a_count_and_a_queue(
    concurrency: int, queue: int, events: list[tuple[str, int]]
) -> None:
    gate = Gate(concurrency, queue)
    inside = 0
    waiting: deque[int] = deque()
    tickets: dict[int, Ticket] = {}
    expected: list[int] = []
    called: list[int] = []

    def hand_over() -> None:
        nonlocal inside
        while waiting and (concurrency == 0 or inside < concurrency):
            inside += 1
            expected.append(waiting.popleft())

    for number, (event, choice) in enumerate(events):
        if event == "come":
            free = concurrency == 0 or (inside < concurrency and not waiting)
            assert gate.enter() == free
            if free:
                inside += 1
                continue
            ticket = gate.wait(lambda number=number: called.append(number))  # type: ignore[misc]
            assert (ticket is None) == (len(waiting) >= queue)
            if ticket is not None:
                tickets[number] = ticket
                waiting.append(number)
        elif event == "leave" and inside:
            inside -= 1
            hand_over()
            gate.leave()
        elif event == "give up" and tickets:
            which = list(tickets)[choice % len(tickets)]
            if which in waiting:
                waiting.remove(which)
            gate.cancel(tickets[which])
        elif event == "configure":
            concurrency, queue = choice % 4, choice // 2
            hand_over()
            gate.configure(concurrency, queue)
        assert called == expected
        assert (gate.active, gate.waiting) == (inside, len(waiting))


weights = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@few
@given(weights, st.floats(0, 1, exclude_max=True), st.integers(0, 5_000))
def test_a_round_is_exact_from_wherever_it_starts(
    given_weights: list[int], start: float, offset: int
) -> None:
    turns = Turns(start)
    members = [
        endpoint(str(index), weight, offset + index) for index, weight in enumerate(given_weights)
    ]
    for one in members:
        turns.add(one)
    for _ in range(3):
        counted = Counter(turns.next(READY, 0.0, 0.0) for _ in range(sum(given_weights)))
        assert [counted[one] for one in members] == given_weights


@few
@given(weights, st.data())
def test_a_round_with_comers_and_goers_is_fair_to_those_who_stay(
    given_weights: list[int], data: st.DataObject
) -> None:
    turns = Turns(0.0)
    stays = [endpoint(f"s{number}", 3, number) for number in range(3)]
    others = [
        endpoint(f"o{number}", weight, 10 + number) for number, weight in enumerate(given_weights)
    ]
    for one in (*stays, *others):
        turns.add(one)
    counted: Counter[Endpoint | None] = Counter()
    for _ in range(30):
        mover = data.draw(st.sampled_from(others))
        mover.place = READY - mover.place
        if mover.place == READY:
            turns.add(mover)
        counted.update(turns.next(READY, 0.0, 0.0) for _ in range(data.draw(st.integers(0, 20))))
        shares = [counted[one] for one in stays]
        assert max(shares) - min(shares) <= 1
    assert counted[None] == 0


@few
@given(
    st.dictionaries(
        st.text("abcdef0123456789.", min_size=1, max_size=12),
        st.integers(1, 5),
        min_size=2,
        max_size=12,
    ),
    st.data(),
)
def test_whoever_goes_or_comes_moves_his_own_keys_alone(
    members: dict[str, int], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(members)))
    all_of_them = [endpoint(name, weight) for name, weight in members.items()]
    left = [one for one in all_of_them if one.spec.address != gone]
    whole, part = Ring(all_of_them), Ring(left)
    for key in range(200):
        before, after = whole.owner(key), part.owner(key)
        assert before is not None
        assert (before is after) == (before.spec.address != gone)
        # And the whole ring knows who would be next.
        tried = [one for one in all_of_them if one.spec.address == gone]
        assert whole.owner_in(key, 1 << READY, tried, 0.0) is after


failures = st.builds(
    Failure,
    kind=st.sampled_from(("connect", "reset", "timeout", "status")),
    status=st.sampled_from((0, 200, 404, 429, 500, 502, 503, 504)),
    sent=st.booleans(),
    retry_after_s=st.none() | st.floats(0, 10),
)
policies = st.builds(
    Retry,
    attempts=st.integers(0, 4),
    on=st.lists(st.sampled_from(RETRY_CONDITIONS), unique=True).map(tuple),
    unsafe=st.booleans(),
    initial_s=st.floats(0, 1),
    max_s=st.floats(0, 2),
    retry_after_s=st.floats(0, 5),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    policies,
    failures,
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
    st.floats(-1, 5) | st.just(math.inf),
    st.integers(0, 1),
)
def test_no_retry_breaks_a_rule(
    policy: Retry,
    failure: Failure,
    attempt: int,
    idempotent: bool,
    replayable: bool,
    left_s: float,
    allowed: int,
) -> None:
    budget = Budget(0.0, allowed / 10)
    delay_s = RetryPolicy(policy).delay(
        attempt,
        failure,
        idempotent=idempotent,
        replayable=replayable,
        left_s=left_s,
        budget=budget,
        random=Random(1),
        now=50.0,
    )
    assert budget.granted == (delay_s is not None)
    if delay_s is None:
        return
    assert attempt <= policy.attempts
    assert replayable
    assert allowed
    assert idempotent or policy.unsafe or not failure.sent
    assert 0.0 <= delay_s < left_s
    longest_s = min(policy.max_s, policy.initial_s * 2 ** (attempt - 1))
    if failure.retry_after_s is None:
        assert delay_s <= longest_s
    else:
        assert failure.retry_after_s <= policy.retry_after_s
        assert failure.retry_after_s <= delay_s <= max(longest_s, failure.retry_after_s)
    assert failure.kind != "status" or failure.status in (429, 500, 502, 503, 504)
