"""A reload knows what it can apply, and what needs a restart of whom."""

from pillion.settings import Change, Settings, diff, parse


def test_nothing_changed() -> None:
    assert diff(parse("[app]\nenv = { A = '1' }\n"), parse("[app.env]\nA = '1'\n")) == []


def test_each_change_says_what_it_takes() -> None:
    old = parse("[app]\nport = 1\nenv = { A = '1', B = '2' }\n")
    new = parse(
        "[app]\nport = 2\nenv = { A = '1', C = '3' }\nlimits = { memory = '1G' }\n"
        "[api]\nlisten = 'off'\n[telemetry]\notlp = 'http://h'\n[logs.multiline]\npattern = 'x'\n"
    )
    changes = diff(old, new)
    assert [
        (one.path, one.old, one.new, one.restart, one.live)
        for one in changes
        if one.path != "logs.multiline"
    ] == [
        ("app.port", 1, 2, "app", False),
        ("app.env.B", "2", None, "app", False),
        ("app.env.C", None, "3", "app", False),
        ("app.limits.memory", None, 1 << 30, "", True),
        ("api.listen", "127.0.0.1:0", None, "instance", False),
        ("telemetry.otlp", None, "http://h", "shipper", False),
    ]
    (multiline,) = [one for one in changes if one.path == "logs.multiline"]
    assert (multiline.old, multiline.new, multiline.restart) == (
        None,
        new.logs.multiline,
        "shipper",
    )


def test_change_of_a_policy_is_live() -> None:
    assert diff(Settings(), parse("[app]\nrestart = 'always'\n")) == [
        Change("app.restart.policy", "never", "always", "")
    ]
