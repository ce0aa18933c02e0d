"""Configuration in files and in the environment of real apps, over the death of those who put it there."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from held import hold
from instance import Host, Instance, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

SLEEP = "while :; do sleep 0.05; done"
SAYS = f'echo "started with [${{PRICE-none}}]"; {SLEEP}'
RELOADS = f'trap \'echo "again: $(cat "$FILE")"\' HUP; echo up; {SLEEP}'


def ready(instance: Instance) -> Instance:
    instance.wait_state("agent")
    instance.wait_state("app")
    return instance


def config(host: Host, instance: Instance, *words: str) -> str:
    return host.pillion("config", *words, "--instance", instance.name).stdout


def said(instance: Instance) -> str:
    return instance.spooled("stdout").decode()


def wait_said(instance: Instance, text: str) -> None:
    wait_for(f"it says {text!r}", lambda: text in said(instance))


def reasons(instance: Instance, kind: str) -> list[str]:
    return [event["reason"] for event in instance.events() if event["kind"] == kind]


def replaced(instance: Instance, end: Callable[[int], None]) -> None:
    """Have the agent ended in this way, and wait for the next one."""
    pid = instance.component("agent")["pid"]
    end(pid)
    wait_for("another agent", lambda: instance.component("agent").get("pid") not in (pid, None))
    instance.wait_state("agent")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


PRICE = '[config.env]\nPRICE = "shop/price"\n'


def test_a_variable_is_there_at_the_first_start(host: Host) -> None:
    first = ready(host.run("sh", "-c", SAYS, name="one", settings=f'[app]\nname = "shop"\n{PRICE}'))
    wait_said(first, "started with [none]")
    config(host, first, "set", "shop/price", "12.5")
    # Another instance of the same service finds it before its app's first breath.
    second = ready(
        host.run("sh", "-c", SAYS, name="two", settings=f'[app]\nname = "shop"\n{PRICE}')
    )
    wait_said(second, "started with [12.5]")
    # A change holds from the app's next start on.
    config(host, first, "set", "shop/price", '{"eur": "zwölf $HOME"}')
    config(host, first, "get", "shop/price")
    host.pillion("restart", "app", "--instance", "one")
    wait_said(first, 'started with [{"eur":"zwölf $HOME"}]')


def test_variables_outlive_the_agent_and_the_keepers_upgrade(host: Host) -> None:
    instance = ready(host.run("sh", "-c", SAYS, name="shop", settings=PRICE))
    config(host, instance, "set", "shop/price", "12.5")
    # The keeper answers in turn: by then it has been told.
    wait_for("it was told", lambda: _restarted(instance).endswith("[12.5]"))
    host.pillion("upgrade", "--keeper", "--instance", "shop")
    instance.wait_state("agent")
    # The agent can tell nobody now; what the keeper was told before is what counts.
    hold(instance.component("agent")["pid"])
    before = said(instance).count("started")
    instance.call("restart", name="app")
    wait_for("it has started again", lambda: said(instance).count("started") > before)
    assert said(instance).splitlines()[-1] == "started with [12.5]"


def _restarted(instance: Instance) -> str:
    """What the app says after one more start."""
    before = said(instance).count("started")
    instance.call("restart", name="app")
    wait_for("it has started again", lambda: said(instance).count("started") > before)
    return said(instance).splitlines()[-1]


def files(host: Host, more: str, form: str = "json") -> tuple[str, str]:
    path = f"{host.root}/prices.{form}"
    return path, f'[[config.files]]\npath = "{path}"\nprefix = "shop"\n{more}\n'


def test_the_app_is_told_when_its_file_has_changed(host: Host) -> None:
    path, settings = files(host, 'signal = "HUP"')
    instance = ready(host.run("sh", "-c", RELOADS, settings=settings, env={"FILE": path}))
    wait_said(instance, "up")
    config(host, instance, "set", "shop/price", "1")
    wait_said(instance, 'again: {\n  "price": 1\n}')
    assert Path(path).stat().st_mode & 0o777 == 0o600
    config(host, instance, "set", "shop/db/host", "é")
    wait_for("the tree", lambda: json.loads(Path(path).read_text()).get("db") == {"host": "é"})
    wait_for("two signals", lambda: said(instance).count("again") == 2)
    # What does not concern the file, and an agent that comes anew, change nothing and signal nobody.
    config(host, instance, "set", "shopping", "1")
    inode = Path(path).stat().st_ino
    replaced(instance, kill)
    config(host, instance, "delete", "shop/db/host")
    wait_for("three signals", lambda: said(instance).count("again") == 3)
    assert Path(path).stat().st_ino != inode
    assert reasons(instance, "projected") == [f"{path} has changed"] * 3
    # Without a value left the app keeps what it had.
    config(host, instance, "delete", "shop/price")
    wait_for(
        "it is told",
        lambda: any("is left as it is" in r for r in reasons(instance, "project-failed")[1:]),
    )
    assert json.loads(Path(path).read_text()) == {"price": 1}


def test_changes_that_come_together_are_told_together(host: Host) -> None:
    path, settings = files(host, 'signal = "HUP"')
    counts = f"trap 'echo again' HUP; echo up; {SLEEP}"
    instance = ready(host.run("sh", "-c", counts, settings=settings))
    wait_said(instance, "up")
    many = Path(host.root, "many.json")
    many.write_text(json.dumps({"shop": {f"k{n}": n for n in range(400)}}))
    config(host, instance, "import", str(many))
    wait_for(
        "all of them",
        lambda: os.path.exists(path) and len(json.loads(Path(path).read_text())) == 400,
    )
    wait_said(instance, "again")
    assert len(reasons(instance, "projected")) < 100


def test_what_a_killed_agent_owed_is_paid_by_its_successor(host: Host) -> None:
    path, settings = files(host, 'signal = "HUP"')
    instance = ready(host.run("sh", "-c", RELOADS, settings=settings, env={"FILE": path}))
    config(host, instance, "set", "shop/price", "1")
    wait_said(instance, "again")
    (run,) = os.listdir(instance.spool)
    note = {"run": run, "pid": instance.component("app")["pid"], "signals": ["HUP"], "commands": []}
    # As it stands between the note and the signal.
    Path(instance.runtime, "projection.json").write_text(json.dumps(note))
    replaced(instance, kill)
    wait_for("the signal that was owed", lambda: said(instance).count("again") == 2)
    wait_for("it is forgotten", lambda: not os.path.exists(f"{instance.runtime}/projection.json"))


def test_a_command_that_fails_is_an_event(host: Host) -> None:
    path, settings = files(
        host, 'command = ["sh", "-c", "echo cannot reload; exit 3"]\nmode = \'0640\'', "toml"
    )
    instance = ready(host.run("sh", "-c", SLEEP, settings=settings))
    config(host, instance, "set", "shop/price", "1")
    wait_for(
        "the event",
        lambda: (
            "cannot tell the app of its new files: sh ended with code 3"
            in reasons(instance, "project-failed")
        ),
    )
    (event,) = [one for one in instance.events() if one["data"].get("output")]
    assert event["data"]["output"] == "cannot reload"
    assert Path(path).read_text() == "price = 1\n"
    assert Path(path).stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_written_is_tried_until_it_can(host: Host) -> None:
    path = f"{host.root}/later/prices.env"
    settings = f'[[config.files]]\npath = "{path}"\nprefix = "shop"\n'
    instance = ready(host.run("sh", "-c", SLEEP, settings=settings))
    config(host, instance, "set", "shop/db/price", "two words")
    wait_for(
        "it is told",
        lambda: any("create its directory" in r for r in reasons(instance, "project-failed")),
    )
    os.mkdir(os.path.dirname(path))
    wait_for("the file", lambda: os.path.exists(path))
    assert Path(path).read_text() == "DB_PRICE='two words'\n"
    # Told once, however often it was tried.
    assert sum("create its directory" in r for r in reasons(instance, "project-failed")) == 1


def test_a_reload_names_another_file(host: Host) -> None:
    path, settings = files(host, "")
    instance = ready(host.run("sh", "-c", SLEEP, settings=settings))
    config(host, instance, "set", "shop/price", "1")
    wait_for("the first", lambda: os.path.exists(path))
    other = f"{host.root}/other.yaml"
    Path(host.root, "app.toml").write_text(settings.replace(path, other))
    done = host.pillion("reload", "--instance", "app")
    assert "config.files[0].path" in done.stdout
    wait_for("the other", lambda: os.path.exists(other))
    assert Path(other).read_text() == "price: 1\n"


def test_two_instances_of_one_service(host: Host) -> None:
    settings = '[app]\nname = "shop"\n'
    command = ("sh", "-c", f'echo "$OTEL_SERVICE_NAME $PILLION_INSTANCE"; {SLEEP}')
    one = ready(host.run(*command, name="shop-1", settings=settings))
    two = ready(host.run(*command, name="shop-2", settings=settings))
    wait_said(one, "shop shop-1")
    wait_said(two, "shop shop-2")
    config(host, one, "set", "price", "1")
    config(host, one, "set", "own", "1", "--layer", "instance")
    wait_for("the other's", lambda: "price" in config(host, two, "list"))
    assert "own" not in config(host, two, "list")
    # And a reload does not take the instance's name for the service's.
    assert "nothing has changed" in host.pillion("reload", "--instance", "shop-2").stdout
