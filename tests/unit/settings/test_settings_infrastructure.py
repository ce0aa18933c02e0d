"""The sections of the infrastructure: what they read, and what they say together."""

import pytest

from pillion.settings import SettingsError, notices, parse
from pillion.settings.config import format_by_ending
from pillion.settings.problems import dotted

FILE = "[[config.files]]\npath = 'x.json'\n"


def test_defaults() -> None:
    settings = parse("")
    assert (settings.store.url, settings.store.size_bytes, settings.store.sync) == (
        "sqlite",
        32 << 20,
        "full",
    )
    assert (settings.store.history.revisions, settings.store.history.age_s) == (10_000, 30 * 86400)
    assert (settings.config.environment, settings.config.files, settings.config.env) == ("", (), {})
    assert (settings.service.register, settings.service.weight) == (True, 1)
    assert settings.health.checks == {}
    assert settings.secrets == {}
    assert settings.app.watchdog is None


def test_a_watchdog_of_each_sort() -> None:
    watchdog = parse("[app]\nwatchdog = { memory = '90%' }\n").app.watchdog
    assert watchdog is not None
    assert (watchdog.timeout_s, watchdog.memory, watchdog.sustained_s) == (None, 0.9, 60.0)


def test_permissions_are_octal() -> None:
    (file,) = parse(f"{FILE}key = 'a'\nmode = '0640'\n").config.files
    assert file.mode == 0o640


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("640", '"0640"'),
        ("0o640", '"0640"'),
        ("true", None),
        ("9999", None),
        ("'0888'", None),
        ("'1777'", None),
        ("''", None),
    ],
)
def test_permissions_that_could_be_misread(written: str, near: str | None) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(f"{FILE}key = 'a'\nmode = {written}\n")
    (problem,) = refused.value.problems
    assert (problem.line, problem.path, problem.suggestion) == (4, "config.files[0].mode", near)


@pytest.mark.parametrize(
    ("path", "form"),
    [("a.yml", "yaml"), ("/x/b.toml", "toml"), ("c.txt", "text"), (".env", "env"), ("conf", "")],
)
def test_the_format_of_an_ending(path: str, form: str) -> None:
    assert format_by_ending(path) == form


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[app]\nwatchdog = {}\n",
            "2: app.watchdog: cannot watch for none of them; expected at least one of timeout, memory, descriptors and progress",
        ),
        (
            FILE,
            "1: config.files[0]: cannot use none of them; expected exactly one of key and prefix",
        ),
        (
            FILE + "key = 'a'\nprefix = 'b/'\n",
            "1: config.files[0]: cannot use key and prefix; expected exactly one of key and prefix",
        ),
        (
            "[[config.files]]\npath = 'x'\nkey = 'a'\n",
            (
                "1: config.files[0]: cannot tell the format by the path's ending; "
                "expected format = one of json, toml, yaml, env and text"
            ),
        ),
        (
            "[[config.files]]\npath = 'x.txt'\nprefix = 'a'\n",
            "3: config.files[0].prefix: cannot write many values as text; use key, or another format",
        ),
        (
            FILE + "key = 'a'\nsignal = 'HUP'\ncommand = 'true'\n",
            "1: config.files[0]: cannot use signal and command; expected one of signal and command, or none",
        ),
        (
            FILE + "key = 'a'\n" + FILE + "key = 'b'\n",
            "5: config.files[1].path: cannot write one file twice; give it another path",
        ),
        (
            "[app.env]\nA = 'x'\n[config.env]\nA = 'k'\n",
            "4: config.env.A: cannot set it twice; it is in app.env as well, remove one",
        ),
        (
            "[health.checks.db]\n",
            "1: health.checks.db: cannot use none of them; expected exactly one of http, tcp, exec, ttl, process and grpc",
        ),
        (
            "[health.checks.db]\ntcp = 1\nttl = '1s'\n",
            "1: health.checks.db: cannot use tcp and ttl; expected exactly one of http, tcp, exec, ttl, process and grpc",
        ),
        (
            "[health.checks.db]\ntcp = 1\nrestart = true\n",
            '3: health.checks.db.restart: cannot restart the app for a readiness check; set kind = "liveness"',
        ),
        (
            "[health.checks.web]\nhttp = '/'\n",
            "2: health.checks.web.http: cannot ask a path without app.port; set app.port, or give a whole URL",
        ),
        (
            "[health.checks.job]\nttl = '1m'\nfall = 2\n",
            "3: health.checks.job.fall: cannot be of use to a ttl check: nothing is attempted",
        ),
        (
            "[secrets.db]\naccess = 'app'\n",
            "1: secrets.db: cannot use none of them; expected exactly one of file, env, credential and directory",
        ),
        (
            "[secrets.db]\nfile = '/x'\nenv = 'X'\n",
            "1: secrets.db: cannot use file and env; expected exactly one of file, env, credential and directory",
        ),
    ],
)
def test_contradictions(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(text)
    assert str(refused.value) == f"pillion.toml:{problem}"


@pytest.mark.parametrize(
    "text",
    [
        "[app]\nport = 1\n[health.checks.web]\nhttp = '/'\nmethod = 'HEAD'\nheaders = { host = 'x' }\n",
        "[health.checks.live]\nprocess = 'app'\nkind = 'liveness'\nrestart = true\n",
        "[health.checks.job]\nttl = '1m'\n",
        FILE + "prefix = 'a'\nsignal = 'SIGUSR1'\n",
        FILE + "key = 'a'\ncommand = 'true'\nmode = '0644'\n",
    ],
)
def test_no_contradiction(text: str) -> None:
    assert notices(parse(text)) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[health.checks.db]\ntcp = 1\nmethod = 'POST'\n", "health.checks.db.method"),
        ("[health.checks.db]\ntcp = 1\ninterval = '500ms'\n", "health.checks.db.timeout"),
        (FILE + "key = 'a'\nmode = '0666'\n", "config.files[0].mode"),
    ],
)
def test_notices_refuse_nothing(text: str, path: str) -> None:
    assert [dotted(one.path) for one in notices(parse(text))] == [path]


@pytest.mark.parametrize(
    "line",
    [
        'store.url = "postgres://h"',
        'store.url = "etcd://h:2379"',
        'store.url = "sqlite:relative.db"',
        'store.size = "1K"',
        "store.history.revisions = 0",
        'config.environment = "a/b"',
        'config.env = { A = "../x" }',
        'config.env = { "1A" = "x" }',
        'config.env = { A = "x/" }',
        f'config.env = {{ A = "{"x" * 513}" }}',
        'service.address = "10.0.0.300"',
        'service.address = "host:80"',
        'service.tags = ["two words"]',
        'service.zone = ""',
        "service.weight = -1",
        'service.meta = { "" = "x" }',
        'health.checks.db = { grpc = "h:1/" }',
        'health.checks.db = { grpc = "h:0" }',
        'health.checks.db = { process = "nginx" }',
        'health.checks.db = { http = "http://h/", status = ["500-400"] }',
        'health.checks.db = { http = "http://h/", status = [99] }',
        'health.checks.db = { http = "http://h/", headers = { a = "x\\ny" } }',
        'health.checks.db = { http = "http://h/", headers = { content-length = "1" } }',
        'health.checks.".." = { tcp = 1 }',
        'secrets.x = { credential = "../x" }',
        'secrets.x = { env = "A=B" }',
        'secrets.x = { file = "" }',
    ],
)
def test_refused_with_one_problem_in_its_line(line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse("\n\n" + line)
    (problem,) = refused.value.problems
    assert problem.line == 3
