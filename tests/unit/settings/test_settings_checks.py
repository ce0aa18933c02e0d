"""What settings say together."""

import pytest

from pillion.settings import SettingsError, notices, parse
from pillion.settings.problems import dotted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[app]\nready = { http = '/' }\n",
            "2: app.ready.http: cannot ask a path without app.port; set app.port, or give a whole URL",
        ),
        (
            "[app]\nready = {}\n",
            "2: app.ready: cannot use none of them; expected exactly one of http, tcp, exec and notify",
        ),
        (
            "[app]\nready = { tcp = 1, notify = true }\n",
            "2: app.ready: cannot use tcp and notify; expected exactly one of http, tcp, exec and notify",
        ),
        (
            "[app]\nrestart = { initial = '1m', max = '1s' }\n",
            "2: app.restart: cannot wait longer at first than at most; raise max or lower initial",
        ),
        (
            "[logs.spool]\nsize = '1M'\nring = '2M'\n",
            "1: logs.spool: cannot have a ring larger than the spool; lower ring or raise size",
        ),
        (
            "[api]\nlisten = '0.0.0.0:9000'\nprobe_listen = '127.0.0.1:9000'\n",
            "3: api.probe_listen: cannot listen twice on one port; give it another than api.listen has",
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
        "[app]\nport = 1\nready = { http = '/' }\n",
        "[app]\nready = { http = 'http://127.0.0.1:1/' }\n",
        "[app]\nready = { exec = 'true' }\n",
        "[api]\nlisten = '127.0.0.1:0'\nprobe_listen = '0.0.0.0:0'\n",
        "[api]\nlisten = '127.0.0.1:9000'\nprobe_listen = '127.0.0.2:9000'\n",
    ],
)
def test_no_contradiction(text: str) -> None:
    assert notices(parse(text)) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[api]\nlisten = '0.0.0.0:9000'\n", "api.listen"),
        (
            "[telemetry]\notlp = 'http://h'\nheaders = { Authorization = 'Bearer x' }\n",
            "telemetry.headers.Authorization",
        ),
        ("[telemetry]\nheaders = { x = 'y' }\n", "telemetry.headers"),
        ("[telemetry]\nca_file = '/x'\n", "telemetry.ca_file"),
        ("[app]\ngroup = 'x'\n", "app.group"),
        ("[agent]\nlimits = { memory = '4M' }\n", "agent.limits.memory"),
    ],
)
def test_notices_refuse_nothing(text: str, path: str) -> None:
    assert [dotted(one.path) for one in notices(parse(text))] == [path]
