"""Every setting is documented, described to editors and offered by `pillion init`, from one source, and all agree."""

import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from pillion.settings import SettingsError, json_schema, parse
from pillion.settings.reading import validate
from pillion.settings.record import INSTANCE, LIVE, Member, Record
from pillion.settings.reference import reference
from pillion.settings.tables import Tablelist, Tablemap, inner_table
from pillion.settings.tree import ROOT
from pillion.settings.writing import commented, toml

_ROOT = Path(__file__).parents[2]


def _members(record: Record, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Member]]:
    found = []
    for member in record.members:
        path = (*prefix, member.name)
        found.append((path, member))
        kind = member.spec.kind
        if isinstance(kind, Tablemap):
            path = (*path, kind.sample)
        elif isinstance(kind, Tablelist):
            path = (*prefix, f"[{member.name}]")
        if (table := inner_table(kind)) is not None:
            found += _members(table.base, path)
    return found


_ALL = _members(ROOT.base)
_LEAVES = [(path, member) for path, member in _ALL if inner_table(member.spec.kind) is None]


def _header(path: tuple[str, ...]) -> str:
    """`[a.b]`, and `[[a.b]]` for a list of tables, whose last part stands in brackets."""
    joined = ".".join(path[:-1]).replace("[", "").replace("]", "")
    return f"[[{joined}]]" if path[-2].startswith("[") else f"[{joined}]"


def _headers(path: tuple[str, ...]) -> str:
    """The header of a setting's table, after those of the lists that the table stands in."""
    lists = [at for at, part in enumerate(path[:-2]) if part.startswith("[")]
    return "\n".join([*(_header((*path[: at + 1], "")) for at in lists), _header(path)])


def _ids(members: list[tuple[tuple[str, ...], Member]]) -> list[str]:
    return [".".join(path) for path, _ in members]


def test_the_page_is_current() -> None:
    current = (_ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert current == reference(), (
        "docs/settings.md is out of date; .venv/bin/python -m pillion.settings.reference > docs/settings.md"
    )


@pytest.mark.parametrize(("path", "member"), _ALL, ids=_ids(_ALL))
def test_described_as_a_sentence_and_by_its_own_name(path: tuple[str, ...], member: Member) -> None:
    assert re.match(r'[A-Z"].*\.$', member.spec.doc, re.DOTALL), member.spec.doc
    assert member.attribute == member.name + member.spec.kind.suffix
    assert member.name not in member.spec.also
    assert member.spec.restart in (LIVE, INSTANCE, "app", "agent", "shipper", "ambassador")


def test_a_name_that_people_try_means_one_setting_of_its_table() -> None:
    tables = [table for _, member in _ALL if (table := inner_table(member.spec.kind)) is not None]
    for table in [ROOT, *tables]:
        names = [member.name for member in table.base.members]
        tried = [name for member in table.base.members for name in member.spec.also]
        assert len(set(names + tried)) == len(names) + len(tried), table.base


@pytest.mark.parametrize(("path", "member"), _LEAVES, ids=_ids(_LEAVES))
def test_what_init_shows_as_a_comment_is_valid_when_uncommented(
    path: tuple[str, ...], member: Member
) -> None:
    header = _header(path)
    section = re.search(
        rf"^(?:# )?{re.escape(header)}$(.*?)(?=^(?:# )?\[|\Z)",
        commented({}),
        re.MULTILINE | re.DOTALL,
    )
    assert section, header
    line = re.search(rf"^# ({re.escape(path[-1])} = .*)$", section[1], re.MULTILINE)
    assert line, f"{path[-1]} is not in the section"
    text = f"{_headers(path)}\n{line[1]}\n"
    _, findings = validate(tomllib.loads(text))
    # Alone, a member of a table that demands another is refused for that alone.
    assert [one for one in findings if "cannot do without" not in one.message] == []


@pytest.mark.parametrize(("path", "member"), _LEAVES, ids=_ids(_LEAVES))
def test_example_and_default_are_what_the_kind_accepts(
    path: tuple[str, ...], member: Member
) -> None:
    spec = member.spec
    if spec.example is not None:
        Draft202012Validator(spec.kind.schema()).validate(spec.example)
    written = (
        None
        if spec.default in (None, (), "") or spec.default == {}
        else spec.kind.written(spec.default)
    )
    if written is not None:
        Draft202012Validator(spec.kind.schema()).validate(written)
    assert written is not None or spec.example is not None


def test_what_init_writes_with_nothing_chosen_is_the_defaults() -> None:
    assert parse(commented({}, "A heading.\n\nMore.")) == parse("")


def test_what_init_writes_with_choices() -> None:
    chosen = {
        ("app", "restart"): "always",
        ("app", "ready", "tcp"): 3000,
        ("app", "name"): 'x"y',
        ("logs", "spool", "size"): "1G",
    }
    text = commented({**chosen, ("app", "name"): "x"})
    settings = parse(text)
    assert settings.app.restart.policy == "always"
    assert settings.app.ready is not None
    assert settings.logs.spool.size_bytes == 1 << 30


@pytest.mark.parametrize(
    "value", ['a"b\\c\n\t\x01\x7fé', 3, 1.5, True, ["a", 2], {"a b": {"c": []}, "d": "x"}]
)
def test_toml_text_is_read_as_the_same_value(value: object) -> None:
    assert tomllib.loads(f"v = {toml(value)}")["v"] == value


# --- JSON Schema -------------------------------------------------------------------------------------------------------------

_SCHEMA = json_schema()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(_SCHEMA)


_GOOD = [
    "",
    "[app]\nname = 'shop'\ncommand = 'node server.js'\nport = 3000\nrestart = 'always'\n",
    "[app]\nrestart = { policy = 'on-failure', factor = 1.5, jitter = '12.5%' }\nready = { exec = ['true'] }\n",
    "[app]\nenv = { A = 1, B = '' }\nuser = 33\nlimits = { memory = 'none', cpu = 2 }\nstop_signal = 'SIGINT'\n",
    "[api]\nlisten = ''\nprobe_listen = '[::1]:9'\n",
    "[logs]\nfiles = []\nstdout = { pty = true }\nmultiline = { pattern = 'x', match = 'continue' }\nfile = { path = 'x' }\n",
    "[telemetry]\notlp = 'off'\nprotocol = 'json'\nheaders = { a = 'file:/x' }\nresource = { 'a.b' = 1 }\n",
]
_GOOD += [
    "[store]\nurl = 'sqlite:/srv/shop.db'\nhistory = { revisions = 5, age = '1d' }\nsync = 'normal'\n",
    "[config]\nenv = { A = 'a/b' }\n[[config.files]]\npath = 'x.yml'\nprefix = 'a/'\nmode = '640'\nsignal = 'SIGHUP'\n",
    "[[config.files]]\npath = 'x'\nkey = 'a'\nformat = 'yml'\ncommand = 'true'\n[[config.files]]\npath = 'y.env'\nkey = 'b'\n",
    "[service]\naddress = '::1'\nport = 1\ntags = ['a']\nmeta = { a = 1 }\nweight = 0\n",
    "[health.checks]\na = { grpc = '[::1]:1/x.Y' }\nb = { http = 'http://h/', status = [200, '2-3'] }\n".replace(
        "2-3", "204-399"
    ),
    "[health.checks.c]\nprocess = 'app'\nkind = 'live'\nrestart = true\n[health.checks.d]\nttl = '30s'\n",
    "[secrets]\na = { file = 'x' }\nb = { credential = 'c', access = 'operator' }\n",
    "[app.watchdog]\nmemory = '90%'\ndescriptors = '80%'\nsustained = '5s'\nprogress = '1m'\n",
]
_UPSTREAM = "[ambassador.upstreams.x]\n"
_ROUTE = "ambassador.proxy = {}\n[[ambassador.routes]]\n"
_GOOD += [
    "[ambassador]\nworkers = 2\nproxy = { egress = 'list', hosts = ['*.a.b:443'], connect_ports = [443] }\nlog = false\n",
    "[ambassador]\nproxy = '127.0.0.1:0'\nhttp = { body = '10M', forwarded = 'forwarded', underscores = 'reject' }\n",
    "[ambassador]\nhttp = { body = 'none' }\ntrace = { sample = '1%' }\nlog = { redact = 'token', headers = ['a'] }\n",
    _UPSTREAM
    + "urls = 'unix:///run/x'\ntimeout = { try = 'none', total = '0s' }\nretry = 'off'\nbreaker = 'off'\n",
    _UPSTREAM
    + "urls = ['tcp://[::1]:1']\ntls = {}\nbalance = 'maglev'\nhash = 'address'\nlisten = 'off'\n",
    _UPSTREAM
    + "service = 's'\ntimeout = '5s'\nretry = 2\nbreaker = 3\nlimit = { rate = '5/m', client_rate = 'none' }\n",
    _UPSTREAM
    + "dns = 'h:1'\nbreaker = { ratio = 'off', on = '5xx' }\ncheck = '/x'\nproxy_protocol = 'send-proxy'\n",
    _UPSTREAM
    + "service = 's'\ncheck = { http = '/', status = 204 }\nfault = { abort = 503, abort_share = '5%' }\n",
    "ambassador.upstreams = { x = 'http://h', y = ['https://a', 'https://b/'] }\n",
    _ROUTE + "match = '/a/{b}'\nredirect = '/c/{b}'\n[[ambassador.routes]]\nanswer = 404\n",
    _ROUTE
    + "match = { host = '*', methods = 'GET', headers = { a = '*' }, query = { b = 1 } }\nanswer = { body = 'x' }\n",
    _ROUTE
    + "to = 'x'\ntimeout = 'none'\nretry = { on = ['429'], unsafe = true }\n"
    + _UPSTREAM
    + "service = 's'\n",
    _ROUTE
    + "to = [{ upstream = 'x', weight = 0 }, 'x']\nrate = '1/s'\n"
    + _UPSTREAM
    + "service = 's'\n",
    "app.port = 1\ninbound = '0.0.0.0:8080'\n",
    "app.port = 1\n[inbound]\nlisten = '[::]:2'\ntls = { cert_file = 'a', key_file = 'b', min_version = 'TLSv1.3' }\n",
]
_PROXY = "[[proxies]]\nname = 'edge'\nkind = 'nginx'\ntemplate = 'pillion:balancer'\n"
_GOOD += [
    "app.port = 1\noffload = 'public'\n",
    "app.port = 1\n[offload]\nroot = 'x'\nmicrocache = 'off'\nbody = 'none'\nheaders = { X-Frame-Options = 'off' }\n",
    "app.port = 1\n[offload]\nroot = 'x'\nprotected = 'y'\nprotected_prefix = '/a/b/'\nto = 'app'\nindex = 'a/b.html'\n",
    _PROXY,
    _PROXY
    + "values = { a = [1, { b = 'c' }], d = 1.5 }\nfiles = { 'a.map' = 'a.j2' }\nguard.hold = 'never'\n",
    _PROXY
    + "run = 'other'\ndirectory = '/x'\nreload = 'systemctl reload nginx'\nwait = { min = '0s' }\n",
]
_BAD = [
    "app.port = 1\n[offload]\nspa = true\n",
    "app.port = 1\n[offload]\nroot = 'x'\nlisten = 'off'\n",
    "app.port = 1\n[offload]\nroot = 'x'\nprotected_prefix = 'a/'\n",
    "app.port = 1\n[offload]\nroot = 'x'\nheaders = { 'a b' = 'x' }\n",
    "[proxies]\nname = 'edge'\nkind = 'nginx'\ntemplate = 'x'\n",
    "[[proxies]]\nname = 'edge'\nkind = 'nginx'\n",
    _PROXY + "values = 3\n",
    _PROXY + "files = { 'a/b' = 'x' }\n",
    _PROXY.replace("edge", "a" * 33),
    _PROXY.replace("nginx", "envoy"),
    "[ambassador]\nproxy = 'off'\n",
    "[ambassador]\nproxy = { connect_ports = [0] }\n",
    "[ambassador]\nlog = 'off'\n",
    "[ambassador]\nroutes = { answer = 200 }\n",
    "ambassador.upstreams = ['http://h']\n",
    _UPSTREAM + "urls = 'ftp://h'\n",
    _UPSTREAM + "urls = 'http://h/x'\n",
    _UPSTREAM + "service = 's'\nlimit = { rate = 200 }\n",
    _UPSTREAM + "service = 's'\nlimit = { rate = '0/s' }\n",
    _UPSTREAM + "service = 's'\nlimit = { rate = '1.5/s' }\n",
    _UPSTREAM + "service = 's'\nretry = 'on'\n",
    _UPSTREAM + "service = 's'\nretry = { on = ['404'] }\n",
    _UPSTREAM + "service = 's'\ntimeout = 5\n",
    _UPSTREAM + "service = 's'\ncheck = 'x'\n",
    _UPSTREAM + "service = 's'\nhash = 'source'\n",
    _UPSTREAM + "service = 's'\nhost = 'a/b'\n",
    _ROUTE + "answer = 99\n",
    _ROUTE + "redirect = { to = '/', status = 304 }\n",
    _ROUTE + "redirect = { status = 302 }\n",
    _ROUTE + "answer = 200\nmatch = { host = 'h:1' }\n",
    _ROUTE + "answer = 200\nmatch = 'x'\n",
    _ROUTE + "answer = 200\nmatch = { methods = 'G T' }\n",
    _ROUTE + "to = 3\n",
    _ROUTE + "to = [{ weight = 1 }]\n",
    "app.port = 1\n[inbound]\n",
    "app.port = 1\ninbound = 'off'\n",
    "app.port = 1\n[inbound]\nlisten = '0.0.0.0:2'\ntls = { cert_file = 'a' }\n",
    "[store]\nurl = 'etcd://h:2379'\n",
    "[store]\nurl = 'sqlite:x'\n",
    "[[config.files]]\nkey = 'a'\n",
    "[[config.files]]\npath = 'x.json'\nkey = '/a'\n",
    "[[config.files]]\npath = 'x.json'\nkey = 'a'\nmode = 640\n",
    "[config.files]\npath = 'x.json'\n",
    "[config]\nenv = { 'A-B' = 'a' }\n",
    "[service]\ntags = ['a b']\n",
    "[health]\nchecks = 3\n",
    "[health.checks]\na = { tcp = 1, kidn = 'liveness' }\n",
    "[health.checks.'a/b']\ntcp = 1\n",
    "[health.checks.a]\nhttp = '/'\nstatus = ['6xx']\n",
    "[health.checks.a]\ngrpc = 'h'\n",
    "[secrets.a]\nenv = '1A'\n",
    "[secrets.a]\nvalue = 'hunter2'\n",
    "nme = 1\n",
    "app = 'x'\n",
    "[app]\nprt = 1\n",
    "[app]\nport = '1'\n",
    "[app]\nport = 0\n",
    "[app]\nname = ''\n",
    "[app]\nname = '-x'\n",
    "[app]\ncommand = []\n",
    "[app]\ncommand = ' '\n",
    "[app]\nstop_timeout = 10\n",
    "[app]\nstop_timeout = '10'\n",
    "[app]\nstop_timeout = '1s1m'\n",
    "[app]\nrestart = 'maybe'\n",
    "[app]\nrestart = { policy = 'maybe' }\n",
    "[app]\nlimits = { memory = '512MB' }\n",
    "[app]\nlimits = { memory = 5 }\n",
    "[app]\nlimits = { cpu = true }\n",
    "[app]\nenv = { A = true }\n",
    "[app]\nenv = { 'A=B' = 'x' }\n",
    "[app]\nenv = ['A']\n",
    "[api]\nlisten = 'host:1'\n",
    "[logs]\nmirror = 'true'\n",
    "[logs]\nfiles = 'x'\n",
    "[logs]\nfiles = [1]\n",
    "[logs.multiline]\nlines = 3\n",
    "[telemetry]\notlp = 'ftp://x'\n",
    "[telemetry]\nheaders = { 'a b' = 'x' }\n",
]


@pytest.mark.parametrize("text", _GOOD)
def test_schema_and_validator_accept(text: str) -> None:
    parse(text)
    Draft202012Validator(_SCHEMA).validate(cast("Any", tomllib.loads(text)))


@pytest.mark.parametrize("text", _BAD)
def test_schema_and_validator_refuse(text: str) -> None:
    with pytest.raises(SettingsError):
        parse(text)
    assert not Draft202012Validator(_SCHEMA).is_valid(cast("Any", tomllib.loads(text)))
