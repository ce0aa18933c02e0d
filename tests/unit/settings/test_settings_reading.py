"""A file is refused with every problem at once, each with its line, its path, what was expected and the nearest right name."""

from pathlib import Path

import pytest

from pillion.settings import Settings, SettingsError, load, parse


def problems(text: str, *overrides: str) -> list[str]:
    """What `parse` says of a text that it refuses."""
    with pytest.raises(SettingsError) as refused:
        parse(text, overrides)
    assert str(refused.value) == "\n".join(str(one) for one in refused.value.problems)
    return [str(one) for one in refused.value.problems]


def test_an_empty_text_gives_the_defaults() -> None:
    settings = parse("")
    assert settings == Settings()
    assert settings.app.restart.policy == "never"
    assert settings.app.stop_timeout_s == 10.0
    assert settings.agent.limits.memory_bytes == 128 << 20
    assert settings.api.listen == "127.0.0.1:0"
    assert settings.logs.spool.size_bytes == 256 << 20


def test_the_example_of_the_design_for_this_version() -> None:
    settings = parse(
        """
        [app]
        name = "shop"
        command = ["node", "server.js"]
        port = 3000
        restart = "on-failure"
        stop_timeout = "10s"
        ready = { http = "/healthz" }
        watchdog = { timeout = "10s" }
        limits = { memory = "512M", cpu = 1.5, processes = 200, open_files = 4096 }

        [agent]
        wait = "0s"
        limits = { memory = "64M" }

        [logs]
        spool = { size = "256M", age = "24h", full = "drop_oldest" }

        [telemetry]
        otlp = "http://127.0.0.1:4318"
        interval = "10s"
        """
    )
    assert settings.app.command == ("node", "server.js")
    assert settings.app.restart.policy == "on-failure"
    assert settings.app.ready is not None
    assert settings.app.ready.http == "/healthz"
    assert settings.app.watchdog is not None
    assert settings.app.watchdog.timeout_s == 10.0
    assert settings.app.limits.memory_bytes == 512 << 20
    assert settings.app.limits.cpu == 1.5
    assert settings.agent.wait_s == 0.0
    assert settings.agent.limits.memory_bytes == 64 << 20
    assert settings.logs.spool.age_s == 86400.0
    assert settings.telemetry.otlp == "http://127.0.0.1:4318"


def test_every_problem_at_once_in_the_order_of_the_text() -> None:
    assert problems(
        """[app]
restrat = "always"
port = "3000"
command = "node 'server.js"
limits = { memory = "512MB", cpu = true, cpus = 2 }
[app.restart]
policy = "on-failur"
[offlaod]
root = "public"
[spol]
[logs]
spool = 3
"""
    ) == [
        "pillion.toml:2: app.restrat: unknown setting; did you mean app.restart?",
        'pillion.toml:3: app.port: cannot use "3000"; expected a port from 1 to 65535; did you mean 3000?',
        (
            'pillion.toml:4: app.command: cannot split "node \'server.js" into words: No closing quotation; '
            'expected a list such as ["node", "server.js"], or a string'
        ),
        (
            'pillion.toml:5: app.limits.memory: cannot use "512MB": some read MB as powers of 1000, some of 1024; '
            'expected a size such as "512M" or "64K", 1M at least; did you mean "512M"?'
        ),
        "pillion.toml:5: app.limits.cpu: cannot use true; expected a number of cores such as 1.5",
        "pillion.toml:5: app.limits.cpus: unknown setting; did you mean app.limits.cpu?",
        (
            'pillion.toml:7: app.restart.policy: cannot use "on-failur"; '
            'expected one of "never", "on-failure", "always"; did you mean "on-failure"?'
        ),
        "pillion.toml:8: offlaod: unknown setting; did you mean offload?",
        "pillion.toml:10: spol: unknown setting",
        "pillion.toml:12: logs.spool: cannot use 3; expected a table with size, age, full, ring",
    ]


@pytest.mark.parametrize(
    ("written", "near"), [("512m", "512M"), ("5kb", "5K"), ("big", None), ("mb", None), ("", None)]
)
def test_a_size_is_suggested_only_when_it_is_one(written: str, near: str | None) -> None:
    (problem,) = problems(f'[logs.spool]\nsize = "{written}"\n')
    assert problem.partition("; did you mean ")[2] == (f'"{near}"?' if near else "")


def test_a_setting_in_the_wrong_section_is_pointed_to_the_right_one() -> None:
    assert problems("[logs]\nport = 1\n") == [
        "pillion.toml:2: logs.port: unknown setting; did you mean app.port?"
    ]
    assert problems("stop_timeout = 1\n") == [
        "pillion.toml:1: stop_timeout: unknown setting; did you mean app.stop_timeout?"
    ]


def test_other_tools_names_are_understood_in_the_suggestion() -> None:
    assert problems("[app]\ncwd = '/'\n") == [
        "pillion.toml:2: app.cwd: unknown setting; did you mean app.workdir?"
    ]


def test_problems_inside_lists_and_maps_have_their_place() -> None:
    assert problems('[logs]\nfiles = [\n  "a",\n  3,\n]\n[app.env]\n"A=B" = "x"\nC = true\n') == [
        'pillion.toml:4: logs.files[1]: cannot use 3; expected a path or pattern; did you mean "3"?',
        'pillion.toml:7: app.env."A=B": cannot use this name: a variable\'s name is not empty and has no = in it',
        'pillion.toml:8: app.env.C: cannot use true; expected a string; did you mean "true"?',
    ]


def test_required_members_of_a_table_that_is_there() -> None:
    assert problems("[logs.file]\nkeep = 3\n[logs.multiline]\n") == [
        "pillion.toml:1: logs.file: cannot do without path; expected path = a file's path",
        "pillion.toml:3: logs.multiline: cannot do without pattern; expected pattern = a regular expression",
    ]


def test_numbers_in_the_environment_are_taken_as_written() -> None:
    assert parse("[app]\nenv = { PORT = 3000 }\n").app.env == {"PORT": "3000"}


def test_a_command_in_one_string_is_split_without_a_shell() -> None:
    assert parse("[app]\ncommand = \"node 'my server.js' $HOME\"\n").app.command == (
        "node",
        "my server.js",
        "$HOME",
    )


def test_none_words() -> None:
    settings = parse('[api]\nlisten = "off"\n[agent.limits]\nmemory = "none"\n')
    assert settings.api.listen is None
    assert settings.agent.limits.memory_bytes is None


def test_spellings_become_one() -> None:
    app = parse('[app]\nstop_signal = "SIGQUIT"\nuser = 33\nready = { tcp = 3000 }\n').app
    assert (app.stop_signal, app.user) == ("QUIT", "33")
    assert app.ready is not None
    assert app.ready.tcp == "127.0.0.1:3000"


@pytest.mark.parametrize(
    "line",
    [
        'api.listen = "127.0.0.1:65536"',
        'api.listen = "127.0.0.300:1"',
        'api.listen = "myhost:1"',
        'api.listen = ":8080"',
        'api.listen = "::1:8080"',
        'api.probe_listen = "127.0.0.1"',
        'app.ready.tcp = "db:0"',
        'app.ready.http = "healthz"',
        'app.ready.http = "//x"',
        "app.port = 0",
        "app.port = 65536",
        'app.name = "../x"',
        'app.name = ".hidden"',
        f'app.name = "{"x" * 65}"',
        'app.command = ["", "x"]',
        "app.command = []",
        'app.command = " "',
        'app.command = ["a\\u0000b"]',
        'app.user = "-x"',
        "app.restart.factor = 0.5",
        "app.restart.factor = nan",
        'app.restart.jitter = "120%"',
        'app.stop_timeout = "2d"',
        "agent.wait = 10",
        'logs.multiline = { pattern = "(" }',
        'logs.spool.size = "1K"',
        'telemetry.otlp = "http://user:secret@host"',
        'telemetry.otlp = "http://"',
        'telemetry.otlp = "http://host/?x"',
        'telemetry.otlp = "http://host:port"',
        'telemetry.headers = { "a b" = "x" }',
        'telemetry.headers = { a = "x\\ny" }',
        'telemetry.headers = { a = "file:secret" }',
        'telemetry.headers = { host = "x" }',
        'telemetry.resource = { "" = "x" }',
        "app = 3",
        "logs.mirror = 'true'",
    ],
)
def test_refused_with_one_problem_in_its_line(line: str) -> None:
    (problem,) = problems("\n\n" + line)
    assert problem.startswith("pillion.toml:3: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none.toml")
    with pytest.raises(SettingsError) as refused:
        load(path)
    assert str(refused.value) == (
        f"{path}: cannot read the file: No such file or directory; name another with --settings, or write one with pillion init"
    )


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[app]\n# caf\xe9\n")
    with pytest.raises(
        SettingsError, match=r"latin.toml:2: cannot decode this line; save the file as UTF-8"
    ):
        load(str(path))


def test_a_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(SettingsError, match=r"more than 1M"):
        load(str(path))


def test_no_file_is_the_defaults_and_the_overrides() -> None:
    assert load(None, ["app.port=3000"]).app.port == 3000
