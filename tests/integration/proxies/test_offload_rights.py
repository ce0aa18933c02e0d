"""As whom the offload of a real instance serves: nobody learns by chance that it is root."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from offload_instance import address_of, ask, begun
from pillion.proxies.nginx.workers import children

if TYPE_CHECKING:
    from instance import Host, Instance

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root, workers run as we do")


def worker_uids(instance: Instance) -> set[int]:
    """As whom the workers run."""
    return {
        os.stat(f"/proc/{pid}").st_uid
        for pid in children(int(instance.component("offload")["pid"]))
    }


@needs_root
def test_a_closed_root_is_refused_and_served_once_it_is_open(host: Host) -> None:
    # Directories of tests are closed to all but their owner.
    instance = begun(host)
    with open(os.path.join(host.root, "well"), "w"):
        pass
    instance.wait_state("app")
    wait_for(
        "it is refused",
        lambda: "proxy-refused" in instance.kinds("offload"),
        state=instance.events,
    )
    reason = next(one["reason"] for one in instance.events() if one["kind"] == "proxy-refused")
    public = os.path.join(host.root, "public")
    assert f"cannot serve {public} as www-data: {host.root} is closed to it (mode 0700)" in reason
    assert f'chmod o+x {host.root}, or set offload.user = "root"' in reason
    assert instance.component("app")["state"] == "running"

    os.chmod(host.root, 0o711)
    assert ask(address_of(instance), "/")[2] == b"entry"
    assert worker_uids(instance) == {pwd.getpwnam("www-data").pw_uid}


@needs_root
def test_as_root_where_the_settings_say_so(host: Host) -> None:
    instance = begun(host, 'user = "root"')
    assert ask(address_of(instance), "/")[2] == b"entry"
    assert worker_uids(instance) == {0}
