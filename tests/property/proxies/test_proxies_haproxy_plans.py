"""From any servers to any servers: the commands of a plan, carried out by a model of HAProxy, end in what the file says."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pillion.proxies.haproxy.drift import find_drift
from pillion.proxies.haproxy.file import split_words
from pillion.proxies.haproxy.keywords import read_options
from pillion.proxies.haproxy.level import Place, Plan, Remove, Say, make_plan
from pillion.proxies.haproxy.running import Running
from pillion.proxies.haproxy.servers import Configuration, read_configuration, shortest

_NAMES = ("a", "b", "c", "d")
_OPTIONS = ("", "check", "check inter 1s", "maxconn 5", "ssl verify none")


class _Line(NamedTuple):
    name: str
    port: int
    weight: int
    disabled: bool
    options: str

    def __str__(self) -> str:
        words = f"server {self.name} 127.0.0.1:{self.port} weight {self.weight} {self.options}"
        return words + (" disabled" if self.disabled else "")


_LINES = st.builds(
    _Line,
    st.sampled_from(_NAMES),
    st.integers(1, 3),
    st.sampled_from((0, 1, 9)),
    st.booleans(),
    st.sampled_from(_OPTIONS),
)
_FILES = st.lists(_LINES, max_size=4, unique_by=lambda line: line.name)


def _configuration(lines: list[_Line]) -> Configuration:
    return read_configuration("backend s\n" + "\n".join(str(line) for line in lines) + "\n")


class _Haproxy:
    """Servers of the backend `s`, and the commands that change them, as HAProxy 2.6 takes them."""

    def __init__(self, lines: list[_Line]) -> None:
        self.servers: dict[str, Running] = {}
        self.options: dict[str, tuple[str, ...]] = {}
        for name, one in _configuration(lines).backends["s"].servers.items():
            self.servers[name] = Running(name, one.address, one.port, one.weight, one.maint)
            self.options[name] = one.options

    def serving(self) -> bool:
        return any(one.serving for one in self.servers.values())

    def say(self, command: str) -> None:
        words = split_words(command)
        name = words[2].removeprefix("s/")
        match words[:2]:
            case ("add", "server"):
                assert name not in self.servers, command
                options = read_options(words[4:]).known
                weight = int(options.pop("weight")[0])
                assert options.pop("pool-purge-delay"), (
                    "else it opens a connection for each request"
                )
                assert options.pop("pool-max-conn")
                host, _, port = words[3].rpartition(":")
                self.servers[name] = Running(
                    name,
                    shortest(host),
                    int(port),
                    weight,
                    maint=True,
                    checks_off="check" in options,
                )
                flat = [word for key in sorted(options) for word in (key, *options[key])]
                self.options[name] = tuple(flat)
            case ("del", "server"):
                assert self.servers[name].maint, command
                del self.servers[name], self.options[name]
            case ("enable", "health"):
                self._change(name, checks_off=False)
            case ("set", "server"):
                self._set(name, words[3:])
            case _:
                raise AssertionError(command)

    def _set(self, name: str, words: tuple[str, ...]) -> None:
        match words:
            case ("weight", weight):
                self._change(name, weight=int(weight))
            case ("addr", address, "port", port):
                self._change(name, address=address, port=int(port))
            case ("state", "ready"):
                self._change(name, maint=False, drain=False)
            case ("state", "maint"):
                self._change(name, maint=True, drain=False)
            case _:
                raise AssertionError(words)

    def _change(self, name: str, **fields: object) -> None:
        one = self.servers[name]
        values = {field: getattr(one, field) for field in one.__struct_fields__}
        self.servers[name] = Running(**{**values, **fields})

    def carry_out(self, plan: Plan) -> list[bool]:
        """Whether anybody served after each step."""
        served = []
        for step in plan.steps:
            match step:
                case Say(command):
                    self.say(command)
                case Remove((_, name)):
                    self.say(f"del server s/{name}")
            served.append(self.serving())
        return served


def _agrees(haproxy: _Haproxy, wanted: Configuration, plan: Plan) -> None:
    servers = wanted.backends["s"].servers
    left = {name for _, name in plan.leaving}
    assert haproxy.servers.keys() - left == servers.keys()
    assert not left & servers.keys()
    for name, server in servers.items():
        runs = haproxy.servers[name]
        assert (runs.address, runs.port, runs.weight) == (
            server.address,
            server.port,
            server.weight,
        )
        assert runs.maint == server.maint
        assert runs.maint or not runs.drain
        assert not runs.checks_off
        assert haproxy.options[name] == server.options
    for name in left:
        assert haproxy.servers[name].maint, "who left serves nobody"


@given(_FILES, _FILES)
@settings(max_examples=200, deadline=None)
def test_any_file_follows_any_other(old: list[_Line], new: list[_Line]) -> None:
    before, wanted = _configuration(old), _configuration(new)
    haproxy = _Haproxy(old)
    plan = make_plan(before, wanted, {"s": dict(haproxy.servers)})
    if plan.why:
        assert plan == Plan(why=plan.why)
        # Options alone can be in the way, of a server that serves and whom nobody stands in for.
        known, servers = before.backends["s"].servers, wanted.backends["s"].servers
        assert "nobody would serve while it changes" in plan.why
        assert any(
            name in known and known[name].options != one.options for name, one in servers.items()
        )
        return
    began = haproxy.serving()
    served = haproxy.carry_out(plan)
    _agrees(haproxy, wanted, plan)
    if began and haproxy.serving():
        assert all(served), "the backend was without servers in between"
    drift = find_drift(wanted, {"s": haproxy.servers}, {})
    assert drift.level
    assert set(drift.leaving) == set(plan.leaving)
    assert not drift.plan.steps, "what is level stays as it is"


@given(_FILES, _FILES, st.data())
@settings(max_examples=120, deadline=None)
def test_a_plan_that_was_cut_anywhere_is_made_again(
    old: list[_Line], new: list[_Line], data: st.DataObject
) -> None:
    before, wanted = _configuration(old), _configuration(new)
    haproxy = _Haproxy(old)
    plan = make_plan(before, wanted, {"s": dict(haproxy.servers)})
    cut = data.draw(st.integers(0, len(plan.steps)))
    haproxy.carry_out(Plan(plan.steps[:cut]))
    again = make_plan(before, wanted, {"s": dict(haproxy.servers)})
    if again.why:
        return
    haproxy.carry_out(again)
    _agrees(haproxy, wanted, again)


_STRANGE = st.lists(
    st.builds(
        Running,
        st.sampled_from((*_NAMES, "x", "y")),
        st.sampled_from(("127.0.0.1", "10.0.0.1")),
        st.integers(1, 3),
        st.sampled_from((0, 1, 9)),
        st.booleans(),
        st.booleans(),
        st.just(value=True),
        st.just(value=False),
    ),
    max_size=6,
    unique_by=lambda one: one.name,
)


@given(_FILES, _STRANGE)
@settings(max_examples=120, deadline=None)
def test_whatever_somebody_did_by_hand_is_mended(
    lines: list[_Line], strange: list[Running]
) -> None:
    wanted = _configuration(lines)
    haproxy = _Haproxy([])
    for one in strange:
        haproxy.servers[one.name] = one
        known = wanted.backends["s"].servers.get(one.name)
        haproxy.options[one.name] = known.options if known is not None else ()
    drift = find_drift(wanted, {"s": dict(haproxy.servers)}, {})
    assert not drift.plan.why
    assert drift.level == (not drift.plan.steps)
    haproxy.carry_out(drift.plan)
    _agrees(haproxy, wanted, drift.plan)
    after = find_drift(wanted, {"s": haproxy.servers}, {})
    assert after.level


@given(_FILES, _FILES, _FILES)
@settings(max_examples=120, deadline=None)
def test_who_comes_back_while_it_leaves_is_known_by_its_options(
    first: list[_Line], second: list[_Line], third: list[_Line]
) -> None:
    files = [_configuration(one) for one in (first, second, third)]
    haproxy = _Haproxy(first)
    plan = make_plan(files[0], files[1], {"s": dict(haproxy.servers)})
    if plan.why:
        return
    haproxy.carry_out(plan)
    leaving: dict[Place, tuple[str, ...]] = {
        place: haproxy.options[place[1]] for place in plan.leaving
    }
    back = make_plan(files[1], files[2], {"s": dict(haproxy.servers)}, leaving)
    if back.why:
        return
    haproxy.carry_out(back)
    _agrees(haproxy, files[2], back)
