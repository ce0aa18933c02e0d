"""`pillion config` with a real instance: every action, for people and for programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from instance import BOUND_S, PILLION, Host, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = "while :; do sleep 1; done"


@pytest.fixture(scope="module")
def shop() -> Iterator[Host]:
    """A host with one instance; each test uses keys of its own."""
    with Host() as host:
        instance = host.run(
            "sh", "-c", SLEEP, name="shop", settings='[config]\nenvironment = "test"\n'
        )
        instance.wait_state("agent")
        yield host


def said(host: Host, *words: str) -> str:
    return host.pillion("config", *words).stdout


def answer(host: Host, *words: str) -> Any:
    return json.loads(said(host, *words, "--json"))


def refused(host: Host, *words: str, code: int = 1) -> str:
    done = host.pillion("config", *words, check=False)
    assert done.returncode == code, done
    return done.stderr


def test_a_value_is_written_and_read(shop: Host) -> None:
    assert said(shop, "set", "one/price", "12.5").startswith("one/price = 12.5 (service:")
    assert said(shop, "get", "one/price") == "12.5\n"
    # Text is text, byte for byte, so that a script need not take it apart.
    said(shop, "set", "one/name", "two words")
    assert said(shop, "get", "one/name") == "two words"
    said(shop, "set", "one/zip", "01234", "--string")
    assert answer(shop, "get", "one/zip")["value"] == "01234"
    said(shop, "set", "one/flag", "true", "--string")
    assert answer(shop, "get", "one/flag")["value"] == "true"
    assert "cannot find one/none" in refused(shop, "get", "one/none")


def test_a_negative_number_and_what_stdin_says(shop: Host) -> None:
    said(shop, "set", "in/low", "-5")
    assert answer(shop, "get", "in/low")["value"] == -5
    subprocess.run(
        [PILLION, "config", "set", "in/tree", "-"],
        env=shop.env(),
        input=b'{"a": [1, 2]}\n',
        check=True,
        timeout=BOUND_S,
    )
    assert answer(shop, "get", "in/tree")["value"] == {"a": [1, 2]}


def test_a_write_of_who_has_not_seen_the_last_one_is_refused(shop: Host) -> None:
    first = answer(shop, "set", "cas/price", "1", "--if-absent")
    etag = f"{first['layer']}:{first['revision']}"
    assert "cannot write cas/price" in refused(shop, "set", "cas/price", "2", "--if-absent")
    said(shop, "set", "cas/price", "2", "--if-match", etag)
    assert "cannot write cas/price" in refused(shop, "set", "cas/price", "3", "--if-match", etag)
    assert "cannot write cas/price" in refused(shop, "delete", "cas/price", "--if-match", etag)
    assert said(shop, "get", "cas/price") == "2\n"


def test_layers_lie_over_each_other(shop: Host) -> None:
    for layer in ("instance", "service", "environment", "default"):
        said(shop, "set", "layer/x", f'"{layer}"', "--layer", layer)
        assert said(shop, "get", "layer/x", "--layer", layer) == layer
    assert said(shop, "get", "layer/x") == "instance"
    assert said(shop, "delete", "layer/x", "--layer", "instance").startswith("layer/x is deleted")
    assert said(shop, "get", "layer/x") == "service"
    said(shop, "delete", "layer/x")
    assert said(shop, "get", "layer/x") == "environment"
    assert "invalid choice" in refused(shop, "get", "layer/x", "--layer", "top", code=2)


def test_a_list_for_people_and_for_programs(shop: Host) -> None:
    said(shop, "set", "list/a", '{"long": "' + "x" * 200 + '"}')
    said(shop, "set", "list/b", "2")
    head, first, second = said(shop, "list", "list/").splitlines()
    assert head.split() == ["KEY", "LAYER", "REVISION", "VALUE"]
    assert first.startswith("list/a  service")
    assert first.endswith("x" * 200 + '"}')
    assert second.split()[-1] == "2"
    assert [item["key"] for item in answer(shop, "list", "list/")["items"]] == ["list/a", "list/b"]


def test_history_and_the_way_back(shop: Host) -> None:
    revisions = [answer(shop, "set", "past/x", str(n))["revision"] for n in (1, 2)]
    said(shop, "delete", "past/x")
    lines = said(shop, "history", "past/x").splitlines()
    assert [line.split()[-1] for line in lines] == ["VALUE", "deleted", "2", "1"]
    assert len(answer(shop, "history", "past/x", "--limit", "1")["items"]) == 1
    assert said(shop, "rollback", "past/x", str(revisions[0])).startswith("past/x = 1 (service:")
    assert said(shop, "get", "past/x") == "1\n"
    assert f"+ past/x = 2 (service:{revisions[1]})" in said(
        shop, "diff", "past/x", "--from", str(revisions[0]), "--to", str(revisions[1])
    )
    assert answer(shop, "diff", "past/", "--from", str(revisions[1]))["items"][0]["key"] == "past/x"
    # Before it was there: rolling back deletes it.
    assert "is deleted" in said(shop, "rollback", "past/x", str(revisions[0] - 1))
    assert "cannot go back to x" in refused(shop, "rollback", "past/x", "x", code=2)


def test_a_file_is_imported_once(shop: Host, tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('currency = "EUR"\n[prices]\napple = 1.5\ntags = ["a", "b"]\n')
    said(shop, "set", "file/currency", "USD")
    said(shop, "set", "file/other", "1")
    dry = said(shop, "import", str(path), "--prefix", "file", "--dry-run")
    assert dry.splitlines() == [
        '- file/currency = "USD"',
        '+ file/currency = "EUR"',
        "+ file/prices/apple = 1.5",
        '+ file/prices/tags = ["a","b"]',
        "would write 2 new and 1 changed, 0 unchanged; 1 not in the file stay",
    ]
    assert said(shop, "get", "file/currency") == "USD"
    words = ("import", str(path), "--prefix", "file")
    assert "wrote 2 new and 1 changed" in said(shop, *words)
    assert "wrote 0 new and 0 changed, 3 unchanged" in said(shop, *words)
    assert said(shop, "get", "file/other") == "1\n"
    assert answer(shop, *words, "--dry-run") == {
        "items": [],
        "unchanged": 3,
        "not_in_the_file": 1,
    }


@pytest.mark.parametrize("form", ["json", "toml", "yaml"])
def test_what_is_exported_is_imported_again(shop: Host, tmp_path: Path, form: str) -> None:
    values = {"a": 1, "deep/er/still": [1.5, "x", {"t": False}], "text": "é\n'\"$", "no": "no"}
    for key, value in values.items():
        said(shop, "set", f"out-{form}/{key}", json.dumps(value))
    path = tmp_path / f"file.{form}"
    path.write_text(
        said(shop, "export", f"out-{form}", "--prefix", f"out-{form}", "--format", form)
    )
    said(shop, "import", str(path), "--prefix", f"in-{form}", "--layer", "default")
    items = answer(shop, "list", f"in-{form}/")["items"]
    assert {item["key"].removeprefix(f"in-{form}/"): item["value"] for item in items} == values
    assert {item["layer"] for item in items} == {"default"}


def test_tables_that_are_values_stay_so_when_flat(shop: Host) -> None:
    said(shop, "set", "flat/a", '{"b": 1}')
    said(shop, "set", "flat/a/b", "2")
    assert "it has a value, and there are keys below it" in refused(shop, "export", "flat")
    text = said(shop, "export", "flat", "--flat", "--format", "json")
    assert json.loads(text) == {"flat/a": {"b": 1}, "flat/a/b": 2}
    done = subprocess.run(
        [PILLION, "config", "import", "-", "--flat", "--format", "json", "--prefix", "again"],
        env=shop.env(),
        input=text.encode(),
        check=True,
        capture_output=True,
        timeout=BOUND_S,
    )
    assert b"wrote 2 new" in done.stdout
    assert answer(shop, "get", "again/flat/a")["value"] == {"b": 1}


def test_many_values_go_in_several_requests(shop: Host, tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"many": {f"k{n:04}": "x" * 200 for n in range(1200)}}))
    assert "wrote 1200 new" in said(shop, "import", str(path))
    assert len(answer(shop, "list", "many/")["items"]) == 1200


def test_values_keep_to_their_schemas(shop: Host, tmp_path: Path) -> None:
    path = tmp_path / "price.json"
    path.write_text('{"type": "number", "minimum": 0}')
    assert said(shop, "schema", "set", "schema/prices/", str(path)).startswith("schema/prices/ has")
    assert json.loads(said(shop, "schema", "get", "schema/prices/")) == json.loads(path.read_text())
    assert "cannot publish schema/prices/x" in refused(shop, "set", "schema/prices/x", "-1")
    file = tmp_path / "prices.yaml"
    file.write_text("schema: {prices: {x: 1, y: free}}\n")
    done = shop.pillion("config", "import", str(file), check=False)
    assert done.returncode == 1
    assert "1 of 2 written to the layer service, 1 refused" in done.stdout
    assert "cannot publish schema/prices/y" in done.stderr
    path.write_text('{"type": "string"}')
    assert refused(shop, "schema", "set", "schema/prices/", str(path))
    said(shop, "schema", "set", "schema/prices/", str(path), "--force")
    assert [one["key"] for one in answer(shop, "schema", "list", "schema/")["items"]] == [
        "schema/prices/"
    ]
    said(shop, "schema", "delete", "schema/prices/")
    assert "cannot find a schema" in refused(shop, "schema", "get", "schema/prices/")
    assert "cannot do schema show" in refused(shop, "schema", "show", code=2)


def test_every_change_is_watched_over_the_death_of_the_agent(shop: Host, tmp_path: Path) -> None:
    instance = shop.instances[0]
    said(shop, "set", "watch/x", "0")
    out = tmp_path / "out"
    with (
        open(out, "wb") as file,
        subprocess.Popen(
            [PILLION, "config", "watch", "watch/", "--json"], env=shop.env(), stdout=file
        ) as watcher,
    ):
        try:
            wait_for("the present state", lambda: '"current"' in out.read_text())
            said(shop, "set", "watch/x", "1")
            wait_for("the change", lambda: '"value":1' in out.read_text())
            pid = instance.component("agent")["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_for(
                "another agent", lambda: instance.component("agent").get("pid") not in (pid, None)
            )
            instance.wait_state("agent")
            said(shop, "set", "watch/x", "2")
            said(shop, "set", "watch-not", "3")
            said(shop, "delete", "watch/x")
            wait_for("the last one", lambda: '"event":"delete"' in out.read_text())
            assert watcher.poll() is None
        finally:
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(BOUND_S) == 130
    events = [json.loads(line) for line in out.read_text().splitlines()]
    told = [(one["event"], one["data"].get("value")) for one in events]
    assert told == [("put", 0), ("current", None), ("put", 1), ("put", 2), ("delete", None)]


def test_a_watch_for_people_ends_with_the_instance(host: Host, tmp_path: Path) -> None:
    instance = host.run("sh", "-c", SLEEP, name="short")
    instance.wait_state("agent")
    said(host, "set", "x", "1")
    out = tmp_path / "out"
    with (
        open(out, "wb") as file,
        subprocess.Popen([PILLION, "config", "watch", "x"], env=host.env(), stdout=file) as watcher,
    ):
        wait_for("the present state", lambda: out.read_text().startswith("put    x = 1 (service:"))
        instance.signal(signal.SIGTERM)
        assert watcher.wait(BOUND_S) == 0
