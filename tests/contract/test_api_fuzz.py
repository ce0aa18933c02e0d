"""A fuzzer driven by the API's own document against a real instance: no 5xx, and no answer that is not described.

Each operation gets cases that keep to its description and cases that do not, over TCP with the operator's token, and with names
and keys that are there. The instance is thrown away afterwards, so that everything may be stopped, killed, limited and written.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.specs.openapi import checks

from instance import Host, wait_for
from pillion.api.document import document
from pillion.api.route import EVENT_STREAM
from pillion.api.table import ROUTES
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

    from instance import Instance
    from pillion.api.route import Route

# These two end what the others are asked of: the instance itself, and each of its processes in turn. Their bodies and refusals are in
# test_openapi, their work in integration/agent and integration/keeper.
LEFT_OUT = {"/v1/shutdown": "ends the instance", "/v1/upgrade": "replaces the agent under test"}
FUZZED = tuple(route for route in ROUTES if route.path not in LEFT_OUT)

# The only ones that say "not now" and not "we have failed".
NOT_NOW = {503, 504, 507}

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 12
SOAK_EXAMPLES = 400
BOUND_S = 40.0

SETTINGS = """\
[app]
name = "shop"
port = 3999
restart = { policy = "always", initial = "10ms", max = "10ms", limit = 100000 }
stop_timeout = "1s"

[secrets.password]
file = "password.txt"

[health.checks.db]
tcp = "127.0.0.1:9"
interval = "1h"

[health.checks.worker]
ttl = "1h"

[config]
environment = "test"
"""

# What is there to be found, and what is not, besides what the fuzzer thinks of.
NAMES = ("app", "password", "seed", "nobody")
KEYS = ("seed", "shop%2Fprice", "nothing")
SEEDS: tuple[tuple[str, dict[str, object]], ...] = (
    ("/v1/config/seed", {"value": 1}),
    ("/v1/config/shop/price", {"value": {"cents": 12}}),
    ("/v1/schemas/seed", {"schema": {}}),
    ("/v1/health/checks/seed", {"ttl": "1h"}),
    ("/v1/services/seed/instances/seed", {"address": "127.0.0.1", "port": 1}),
    ("/v1/locks/seed", {"ttl": "1h"}),
    ("/v1/elections/seed", {"ttl": "1h", "wait": "0s", "value": "x"}),
)
# Waits half a minute for its turn when it is not told how long.
CAMPAIGN = "/v1/elections/{name}"


class Served:
    """One instance, and how it is asked."""

    def __init__(self, host: Host) -> None:
        self.instance: Instance = host.run(
            "sleep", "1000", name="shop", settings=SETTINGS, cwd=host.root
        )
        self.instance.wait_state("agent")
        about = json.loads(Path(self.instance.runtime, "instance.json").read_text())
        self.url: str = about["url"]
        token = Path(self.instance.runtime, "operator.token").read_text()
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = {"Authorization": f"Bearer {token}"}
        self.session.headers.update(self.token)
        self.statuses: Counter[tuple[str, int]] = Counter()
        # Over the document's own answer, so that what is tested is what is served.
        self.schema = schemathesis.openapi.from_dict(
            self.session.get(f"{self.url}/v1/openapi.json", timeout=BOUND_S).json()
        )

    def send(self, case: Case[Any], accept: str | None) -> requests.Response:
        """Ask; what goes on for ever is given up behind its head."""
        parts = case.as_transport_kwargs(base_url=self.url)
        # The fuzzer makes tokens of its own, and would get no further.
        parts["headers"].update(self.token | ({"Accept": accept} if accept else {}))
        answer = self.session.request(**parts, stream=True, timeout=BOUND_S, allow_redirects=False)
        self.statuses[case.operation.label, answer.status_code] += 1
        if answer.status_code == 200 and goes_on(case, accept):
            answer.close()
            return answer
        assert answer.content is not None
        return answer

    def sow(self) -> dict[str, int]:
        """Put there what may be found, and return how that was answered."""
        return {
            path: self.session.put(self.url + path, json=body, timeout=BOUND_S).status_code
            for path, body in SEEDS
        }

    def alive(self) -> bool:
        """Whether the agent answers."""
        try:
            return self.session.get(f"{self.url}/livez", timeout=BOUND_S).status_code == 200
        except requests.RequestException:
            return False


def goes_on(case: Case[Any], accept: str | None) -> bool:
    """Whether an answer has no end: a live one, or events."""
    follow = str((case.query or {}).get("follow", "no")).lower() in ("", "1", "true", "yes", "on")
    return follow or accept == EVENT_STREAM


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Host() as host:
        Path(host.root, "password.txt").write_text("s3cret")
        one = Served(host)
        yield one
        one.session.close()


def asked(case: Case[Any], name: str | None, key: str | None) -> None:
    """Make of a case one that finds something, and never waits for long."""
    for part, wanted in (("name", name), ("id", name), ("key", key)):
        if wanted is not None and part in (case.path_parameters or {}):
            case.path_parameters[part] = wanted
    if case.path == CAMPAIGN and case.method == "PUT":
        if isinstance(case.body, NotSet) or case.body == b"":
            case.body, case.media_type = {}, "application/json"
        if isinstance(case.body, dict):
            case.body.setdefault("wait", "30s")
    for found in (case.query, case.body):
        if isinstance(found, dict) and is_duration(found.get("wait")):
            found["wait"] = "10ms"


def is_duration(text: object) -> bool:
    try:
        return isinstance(text, str) and parse_duration(text) >= 0
    except ValueError:
        return False


def fuzz(served: Served, route: Route, mode: GenerationMode, examples: int) -> None:
    operation = served.schema[route.path.replace("+}", "}")][route.method]
    medias = (
        [None]
        if all(EVENT_STREAM not in one.media for one in route.answers)
        else [None, EVENT_STREAM]
    )

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == EXAMPLES,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        name=st.sampled_from([None, *NAMES]),
        key=st.sampled_from([None, *KEYS]),
        accept=st.sampled_from(medias),
    )
    def run(case: Case[Any], name: str | None, key: str | None, accept: str | None) -> None:
        asked(case, name, key)
        answer = served.send(case, accept)
        assert answer.status_code < 500 or answer.status_code in NOT_NOW, told(answer)
        if goes_on(case, accept) and answer.status_code == 200:
            media = answer.headers["Content-Type"]
            assert any(media in one.media for one in route.answers), media
        else:
            case.validate_response(answer, checks=CHECKS)

    served.sow()
    run()
    wait_for("the agent answers", served.alive)


def told(answer: requests.Response) -> str:
    request = answer.request
    return f"{request.method} {request.url} {request.body!r}: {answer.status_code} {answer.text}"


def is_open(route: Route) -> bool:
    """Whether there is anything about a request that could be wrong."""
    return bool(route.parameters or route.body or route.media or "{" in route.path)


by_route = pytest.mark.parametrize("route", FUZZED, ids=lambda r: f"{r.method} {r.path}")
by_open_route = pytest.mark.parametrize(
    "route", [r for r in FUZZED if is_open(r)], ids=lambda r: f"{r.method} {r.path}"
)


@by_route
def test_requests_as_described_are_answered_as_described(served: Served, route: Route) -> None:
    fuzz(served, route, GenerationMode.POSITIVE, EXAMPLES)


@by_open_route
def test_requests_not_as_described_are_answered_as_described(served: Served, route: Route) -> None:
    fuzz(served, route, GenerationMode.NEGATIVE, EXAMPLES)


@pytest.mark.soak
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda m: m.name.lower())
@by_open_route
def test_for_longer(served: Served, route: Route, mode: GenerationMode) -> None:
    fuzz(served, route, mode, SOAK_EXAMPLES)


def test_other_methods_are_refused_with_those_that_there_are(served: Served) -> None:
    methods = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}
    for path, operations in json.loads(document())["paths"].items():
        known = {method.upper() for method in operations}
        known |= {"HEAD"} if "GET" in known else set()
        for method in sorted(methods - known):
            url = served.url + re.sub(r"\{\w+\}", "app", path)
            answer = served.session.request(method, url, timeout=BOUND_S)
            assert answer.status_code == 405, told(answer)
            assert set(answer.headers["Allow"].split(", ")) == known
            assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_fuzzer_gets_through_to_the_work(served: Served) -> None:
    """Not refusals alone: most operations have done what they are for at least once."""
    done = {operation for operation, status in served.statuses if status < 400}
    operations = {operation for operation, _ in served.statuses}
    assert len(done) >= 0.8 * len(operations), sorted(operations - done)


def test_nothing_of_it_has_hurt_the_instance(served: Served) -> None:
    """After all of the above: the same keeper, and an agent that was never restarted for a defect."""
    assert served.instance.process.poll() is None
    kinds: list[dict[str, Any]] = [
        event
        for event in served.instance.events()
        if event["component"] in ("agent", "keeper")
        and event["kind"] in ("exited", "failed", "hung")
    ]
    assert kinds == [], json.dumps(kinds)
