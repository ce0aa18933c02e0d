"""The policy of a real instance, changed while it runs: by registry, configuration, hand and reload, and without an agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from ambassador_instance import Ambassador
from ambassador_policy import ORDERS, named, policy, put, register, who
from instance import PILLION, wait_for


def test_the_registry_moves_traffic() -> None:
    with named("one", "two") as (one, two), Ambassador(ORDERS) as ambassador:
        assert who(ambassador, 1) == {"no-endpoint"}
        register(ambassador.instance, "orders", "one", one.port)
        wait_for("one answers", lambda: who(ambassador) == {"one"})
        register(ambassador.instance, "orders", "two", two.port)
        wait_for("both answer", lambda: who(ambassador, 40) == {"one", "two"})
        register(ambassador.instance, "orders", "one", one.port, weight=0)
        wait_for("one is drained", lambda: who(ambassador) == {"two"})
        register(ambassador.instance, "orders", "one", one.port, status="critical")
        wait_for("one is critical", lambda: who(ambassador) == {"two"})
        put(ambassador.instance, "/v1/services/orders/instances/two", {}, "DELETE")
        wait_for("one rather than none", lambda: who(ambassador) == {"one"})
        put(ambassador.instance, "/v1/services/orders/instances/one", {}, "DELETE")
        wait_for("nobody is left", lambda: who(ambassador) == {"no-endpoint"})


def test_weights_move_live_by_a_configuration_key_and_a_bad_one_changes_nothing() -> None:
    with named("old", "new") as (old, new):
        upstreams = {
            "orders": f'urls = "http://127.0.0.1:{old.port}"',
            "canary": f'urls = "http://127.0.0.1:{new.port}"',
        }
        routes = '[[ambassador.routes]]\nlistener = "orders"\nto = [{ upstream = "orders" }, { upstream = "canary", weight = 0 }]\n'
        with Ambassador(upstreams, routes) as ambassador:
            instance = ambassador.instance
            assert who(ambassador, 20) == {"old"}
            key = "/v1/config/ambassador/routes/0/to"
            both = [{"upstream": "orders", "weight": 1}, {"upstream": "canary", "weight": 1}]
            assert put(instance, key, {"value": both})[0] in (200, 201)
            wait_for("both answer", lambda: who(ambassador, 40) == {"old", "new"})
            only = [{"upstream": "canary"}]
            put(instance, key, {"value": only})
            wait_for("the new one alone", lambda: who(ambassador, 20) == {"new"})
            # Wrong, and a second key that would be right: none of both holds.
            put(instance, "/v1/config/ambassador/upstreams/orders/balance", {"value": "fairest"})
            put(instance, "/v1/config/ambassador/routes/0/to", {"value": both})
            wait_for("it is told", lambda: "policy-refused" in instance.kinds("ambassador"))
            (event,) = [e for e in instance.events() if e["kind"] == "policy-refused"]
            assert "upstreams.orders.balance" in event["reason"]
            assert who(ambassador, 40) == {"new"}
            put(instance, "/v1/config/ambassador/upstreams/orders/balance", None, "DELETE")
            wait_for("all is well again", lambda: who(ambassador, 40) == {"old", "new"})


def test_without_the_agent_traffic_goes_on_and_a_new_worker_begins_with_the_file() -> None:
    with named("one") as (one,), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("one answers", lambda: who(ambassador, 1) == {"one"})
        wait_for(
            "it is in the file", lambda: len(policy(instance)["upstreams"][0]["endpoints"]) == 1
        )
        os.kill(instance.component("agent")["pid"], signal.SIGKILL)
        instance.call("stop", name="agent")
        instance.wait_state("agent", "stopped")
        assert who(ambassador, 200) == {"one"}
        worker = ambassador.pid
        os.kill(worker, signal.SIGKILL)
        wait_for(
            "another worker",
            lambda: (
                ambassador.pid not in (0, worker)
                if instance.component("ambassador").get("pid")
                else False
            ),
        )
        instance.wait_state("ambassador")
        assert who(ambassador, 50) == {"one"}
        revision = policy(instance)["revision"]
        instance.call("start", name="agent")
        instance.wait_state("agent")
        # It knows the same, says nothing new, and goes on from there.
        assert who(ambassador, 50) == {"one"}
        assert policy(instance)["revision"] >= revision
        wait_for(
            "the API",
            lambda: (
                put(
                    instance,
                    "/v1/services/orders/instances/one",
                    {"address": "127.0.0.1", "port": 1},
                )[0]
                == 200
            ),
        )
        wait_for(
            "the change",
            lambda: (
                who(ambassador, 1) == {"connect-failed"} or who(ambassador, 1) == {"circuit-open"}
            ),
        )


def test_breakers_by_hand_and_what_is_shown() -> None:
    with named("one", "two") as (one, two):
        urls = f'urls = ["http://127.0.0.1:{one.port}", "http://127.0.0.1:{two.port}"]'
        with Ambassador({"orders": urls}) as ambassador:
            host, endpoint = ambassador.instance.host, f"127.0.0.1:{one.port}"
            assert who(ambassador, 40) == {"one", "two"}
            done = host.pillion("breakers", "open", "orders", endpoint, "--json")
            items = {one["endpoint"]: one for one in json.loads(done.stdout)["items"]}
            assert (items[endpoint]["state"], items[endpoint]["forced"]) == ("open", True)
            assert items[f"127.0.0.1:{two.port}"]["state"] == "closed"
            assert who(ambassador, 40) == {"two"}
            host.pillion("breakers", "open", "orders")
            assert who(ambassador, 5) == {"circuit-open"}
            # It holds for a worker that starts later.
            os.kill(worker := ambassador.pid, signal.SIGKILL)
            wait_for(
                "another worker",
                lambda: (
                    ambassador.instance.component("ambassador").get("pid") not in (None, worker)
                ),
            )
            ambassador.instance.wait_state("ambassador")
            assert who(ambassador, 5) == {"circuit-open"}
            shown = host.pillion("routes").stdout
            assert "open by hand" in shown
            assert endpoint in shown
            host.pillion("breakers", "auto", "orders")
            assert who(ambassador, 40) == {"one", "two"}
            kinds = ambassador.instance.kinds("ambassador")
            assert {"circuit-forced", "circuit-opened", "circuit-closed"} <= set(kinds)
            refused = host.pillion("breakers", "open", "orders", "nobody:1", check=False)
            assert (refused.returncode, "cannot find the endpoint" in refused.stderr) == (1, True)


def test_requests_are_shown_and_followed() -> None:
    with named("one") as (one,):
        upstreams = {
            "orders": f'urls = "http://127.0.0.1:{one.port}"',
            "nowhere": 'urls = "http://127.0.0.1:1"\nretry = "off"',
        }
        with Ambassador(upstreams) as ambassador:
            host = ambassador.instance.host
            follow = subprocess.Popen(
                [PILLION, "requests", "-f", "--status", "5xx", "--json"],
                env=host.env(),
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert who(ambassador, 3) == {"one"}
                assert who(ambassador, 1, "nowhere") == {"connect-failed"}
                assert follow.stdout is not None
                record = json.loads(follow.stdout.readline())
                assert (record["status"], record["reason"]) == (502, "connect-failed")
            finally:
                follow.kill()
                follow.communicate()
            lines = host.pillion("requests", "--upstream", "orders").stdout.splitlines()
            assert len(lines) == 3
            assert all(" 200 " in line and f"orders 127.0.0.1:{one.port}" in line for line in lines)
            assert host.pillion("requests", "--status", "4xx").stdout == ""
            assert len(host.pillion("requests", "-n", "2").stdout.splitlines()) == 2
            wrong = host.pillion("requests", "--status", "many", check=False)
            assert (wrong.returncode, "cannot read --status" in wrong.stderr) == (2, True)


def test_what_workers_saw_is_in_the_metrics() -> None:
    with named("one") as (one,):
        upstreams = {"orders": f'urls = "http://127.0.0.1:{one.port}"'}
        with Ambassador(upstreams) as ambassador:
            who(ambassador, 5)

            def seen() -> bool:
                sock = os.path.join(ambassador.instance.runtime, "api.sock")
                done = subprocess.run(
                    ["curl", "-sS", "--unix-socket", sock, "http://pillion/metrics"],
                    capture_output=True, text=True, timeout=20, check=True,
                )  # fmt: skip
                lines = done.stdout.splitlines()
                counted = [
                    line.rpartition(" ")[2]
                    for line in lines
                    if line.startswith("pillion_ambassador_requests_total{")
                    and 'component="ambassador"' in line
                    and 'class="2xx"' in line
                ]
                return (
                    counted == ["5"]
                    and "# TYPE pillion_ambassador_request_duration_seconds histogram" in lines
                )

            wait_for("the counts of five requests", seen)
