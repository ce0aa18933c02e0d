"""Records keep what dataclasses would promise."""

import pytest

from pillion.settings import Settings, SettingsError, from_json, parse, to_json
from pillion.settings.limits import Limits


def test_frozen() -> None:
    limits = Limits(cpu=1.0)
    with pytest.raises(AttributeError, match="frozen"):
        limits.cpu = 2.0  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del limits.cpu
    with pytest.raises(TypeError):
        Settings().app.env["A"] = "1"  # type: ignore[index]


def test_equality_representation_and_copies() -> None:
    limits = Limits(cpu=1.0)
    assert limits == Limits().replace(cpu=1.0) != Limits()
    assert limits != 1.0
    assert repr(limits) == "Limits(memory_bytes=None, cpu=1.0, processes=None, open_files=None)"
    assert limits.replace(processes=3).cpu == 1.0


def test_unknown_fields_are_a_bug() -> None:
    with pytest.raises(TypeError, match="Limits has no cpus"):
        Limits(cpus=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Limits has no cpus"):
        Limits().replace(cpus=1.0)


def test_json_of_another_version_is_read_as_far_as_it_goes() -> None:
    assert from_json('{"app": {"name": "x", "later": 1}, "ambassador": {}}') == parse(
        "[app]\nname = 'x'\n"
    )


def test_missing_limits_are_those_of_their_component() -> None:
    assert from_json('{"agent": {"limits": {"cpu": 1}}}').agent.limits.memory_bytes == 128 << 20


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"app": 3}', '{"app": {"port": "x"}}', '{"app": {"name": null}}', "[" * 100_000],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^settings\.json: (app: )?((port|name): )?cannot "):
        from_json(text)


def test_json_is_by_field_with_units() -> None:
    text = to_json(parse("[app]\nstop_timeout = '500ms'\n"))
    assert '"stop_timeout_s":0.5' in text
    assert '"size_bytes":268435456' in text


def test_streams_inherit() -> None:
    logs = parse("[logs]\nmirror = false\nstderr = { mirror = true, full = 'block' }\n").logs
    assert [logs.mirror_for(name) for name in ("stdout", "stderr")] == [False, True]
    assert [logs.full_for(name) for name in ("stdout", "stderr")] == ["drop_oldest", "block"]
