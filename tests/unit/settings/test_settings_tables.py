"""Tables under names of the user's, and lists of tables: read, located, suggested, overridden, compared."""

import pytest

from pillion.settings import Change, Settings, SettingsError, diff, from_json, parse, to_json

CHECK = "[health.checks.db]\ntcp = 5432\n"
FILE = "[[config.files]]\npath = 'x.json'\nkey = 'a'\n"


def problems(text: str, *overrides: str) -> list[str]:
    """What `parse` says of a text that it refuses."""
    with pytest.raises(SettingsError) as refused:
        parse(text, overrides)
    return [str(one).removeprefix("pillion.toml:") for one in refused.value.problems]


def test_each_entry_has_its_own_defaults() -> None:
    checks = parse(CHECK + "[health.checks.web]\nhttp = 'http://h/'\nfall = 1\n").health.checks
    assert list(checks) == ["db", "web"]
    assert (checks["db"].tcp, checks["db"].fall) == ("127.0.0.1:5432", 3)
    assert (checks["web"].http, checks["web"].fall) == ("http://h/", 1)


def test_every_problem_of_every_entry_has_its_line() -> None:
    text = (
        "[health.checks.db]\ntcp = true\n[health.checks.'a b']\ntcp = 1\nintervall = '1s'\n"
        "[[config.files]]\nkey = 'a'\n[[config.files]]\npath = 'x.json'\nkey = 'a//b'\n"
        "[secrets]\npassword = 'hunter2'\n"
    )
    assert [one.partition(";")[0] for one in problems(text)] == [
        "2: health.checks.db.tcp: cannot use true",
        (
            '3: health.checks."a b": cannot use this name: a name is letters, digits, dots, hyphens and underscores, '
            "and begins with a letter or digit"
        ),
        '5: health.checks."a b".intervall: unknown setting',
        "6: config.files[0]: cannot do without path",
        '10: config.files[1].key: cannot use "a//b": a key is words joined by /, with none at its ends and none twice',
        "12: secrets.password: cannot use this value",
    ]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[health.db]\ntcp = 1\n", "health.checks.db"),
        ("[health]\ngrpc = 'h:1'\n", "health.checks.NAME.grpc"),
        ("[health.checks.db]\nurl = '/'\n", "health.checks.db.http"),
        (
            "[[config.files]]\npath = 'x.json'\nkey = 'a'\npermissions = '0600'\n",
            "config.files[0].mode",
        ),
        ("[health.check.db]\ntcp = 1\n", "health.checks"),
        ("[secret.x]\nfile = 'x'\n", "secrets"),
        ("[discovery]\nname = 'x'\n", "service"),
        ("[secrets.x]\npath = 'x'\n", "secrets.x.file"),
    ],
)
def test_suggestions(text: str, near: str) -> None:
    (problem,) = problems(text)
    assert problem.endswith(f"unknown setting; did you mean {near}?")


def test_so_many_that_it_must_be_a_mistake() -> None:
    text = "[health.checks]\n" + "".join(f"c{n} = {{ tcp = 1 }}\n" for n in range(1001))
    assert problems(text) == ["1: health.checks: cannot use 1001 of them; expected 1000 at most"]
    text = "".join(f"[[config.files]]\npath = 'f{n}.json'\nkey = 'a'\n" for n in range(101))
    assert problems(text) == ["1: config.files: cannot use 101 of them; expected 100 at most"]


@pytest.mark.parametrize(
    ("text", "override", "found"),
    [
        ("", "health.checks.db.tcp=5432", ("127.0.0.1:5432", "10s")),
        (CHECK, "health.checks.db.interval=5s", ("127.0.0.1:5432", "5s")),
        ("", "health.checks={db={tcp=5432}}", ("127.0.0.1:5432", "10s")),
    ],
)
def test_an_override_of_one_entry(text: str, override: str, found: tuple[str, str]) -> None:
    check = parse(text, [override]).health.checks["db"]
    assert (check.tcp, f"{check.interval_s:g}s") == found


def test_an_override_in_a_list() -> None:
    overrides = ["config.files.0.mode=0600", "config.files.1.path=y.json", "config.files.1.key=b"]
    files = parse(FILE, overrides).config.files
    assert [(file.path, file.key, file.mode) for file in files] == [
        ("x.json", "a", 0o600),
        ("y.json", "b", None),
    ]
    assert problems("", "config.files.1.key=b") == [
        (
            "--set config.files.1.key=b: config.files[1]: cannot set one beyond the end of the list; "
            "expected the number of one that is there, from 0, or the next"
        )
    ]
    assert problems("", "config.files.0.key=/")[0].startswith(
        "--set config.files.0.key=/: config.files[0].key: cannot use"
    )


def test_an_override_of_what_the_file_leaves_open() -> None:
    assert parse("", ["app.name?=shop-2"]).app.name == "shop-2"
    assert parse("[app]\nname = 'shop'\n", ["app.name?=shop-2"]).app.name == "shop"


def test_changes_are_told_per_entry() -> None:
    old = parse(CHECK + "[health.checks.gone]\ntcp = 1\n" + FILE)
    new = parse(CHECK + "fall = 5\n[health.checks.new]\ntcp = 1\n" + FILE + "mode = '0600'\n")
    assert diff(old, new) == [
        Change("config.files[0].mode", None, 0o600, ""),
        Change("health.checks.db.fall", 3, 5, ""),
        Change("health.checks.gone", old.health.checks["gone"], None, ""),
        Change("health.checks.new", None, new.health.checks["new"], ""),
    ]
    assert [one.path for one in diff(old, Settings())] == [
        "config.files[0]",
        "health.checks.db",
        "health.checks.gone",
    ]


def test_interchange_ignores_what_it_does_not_know_and_says_where_it_fails() -> None:
    settings = parse(CHECK + FILE + "[secrets.x]\nfile = '/x'\n")
    text = to_json(settings)
    assert from_json(text) == settings
    assert from_json(text.replace('"tcp":', '"later":1,"tcp":')) == settings
    with pytest.raises(SettingsError, match=r"health: checks: db: fall: cannot use true"):
        from_json(text.replace('"fall":3', '"fall":true'))
