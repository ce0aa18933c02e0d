"""`--set a.b=v` is put over the file, and a problem with it names the override."""

import pytest

from pillion.settings import SettingsError, parse


def problems(*overrides: str, text: str = "") -> list[str]:
    with pytest.raises(SettingsError) as refused:
        parse(text, overrides)
    return [str(one) for one in refused.value.problems]


@pytest.mark.parametrize(
    ("override", "held"),
    [
        ("app.name=shop", "shop"),
        ('app.name="shop"', "shop"),
        (" app . name = shop ", "shop"),
        ("app.name=my-shop.2", "my-shop.2"),
    ],
)
def test_plain_words_and_toml(override: str, held: str) -> None:
    assert parse("", [override]).app.name == held


def test_values_of_every_sort() -> None:
    app = parse(
        "",
        [
            "app.port=3000",
            "app.command=node server.js",
            "app.limits={memory='1G', cpu=2}",
            "app.restart.limit=3",
            "app.env.A-B=x=y",
            "app.stop_timeout=1m30s",
        ],
    ).app
    assert (app.port, app.command, app.restart.limit, app.stop_timeout_s) == (
        3000,
        ("node", "server.js"),
        3,
        90.0,
    )
    assert app.limits.memory_bytes == 1 << 30
    assert app.env == {"A-B": "x=y"}


def test_the_file_gives_way_and_the_last_override_holds() -> None:
    assert parse("[app]\nport = 1\n", ["app.port=2", "app.port=3"]).app.port == 3


def test_a_table_takes_the_place_of_its_shorthand() -> None:
    restart = parse("[app]\nrestart = 'always'\n", ["app.restart.limit=3"]).app.restart
    assert (restart.policy, restart.limit) == ("always", 3)


def test_problems_name_the_override() -> None:
    assert problems("app.prt=1", "agent.wait=10", text="[app]\nname = 3\n") == [
        'pillion.toml:2: app.name: cannot use 3; expected a name such as "shop"; did you mean "3"?',
        "--set app.prt=1: app.prt: unknown setting; did you mean app.port?",
        (
            '--set agent.wait=10: agent.wait: cannot use 10; expected a duration such as "10s", "500ms" or "1m30s", 1h at most; '
            'did you mean "10s"?'
        ),
    ]


@pytest.mark.parametrize("override", ["", "app.port", "=3", "app..port=3", "app port=3", '"=3'])
def test_not_an_override(override: str) -> None:
    assert problems(override) == [
        f"--set {override}: cannot read this; expected a setting and its value, such as app.port=3000"
    ]


def test_toml_that_is_broken_is_not_taken_for_words() -> None:
    (problem,) = problems("app.command=[node")
    assert problem.startswith("--set app.command=[node: app.command: cannot read the value: ")


def test_words_that_would_end_the_value_are_words() -> None:
    assert parse("", ["app.env.X=a\nb = 3"]).app.env == {"X": "a\nb = 3"}
    assert parse("", ["app.env.X=# no comment"]).app.env == {"X": "# no comment"}


def test_a_number_or_flag_is_words_where_only_words_fit() -> None:
    app = parse(
        "",
        [
            "app.name=123",
            "app.env.DEBUG=true",
            "app.env.N=007",
            "app.user=33",
            "app.ready.exec=true",
        ],
    ).app
    assert (app.name, app.env, app.user) == ("123", {"DEBUG": "true", "N": "007"}, "33")
    assert app.ready is not None
    assert app.ready.exec == ("true",)
