"""Name, identity, kernel and distribution of the host, and what DMI says of its hardware."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from pillion.environment.facts import Distribution, Kernel

if TYPE_CHECKING:
    from pillion.base.host_files import Files

# Random, and ours alone: what another application derives from the same machine id is not comparable.
_APPLICATION = bytes.fromhex("6f0a35a3b3964c0fa5be0f3e1e7f9c2d")
_DMI = "/sys/class/dmi/id"
_FILLERS = frozenset({"", "none", "to be filled by o.e.m.", "default string", "not specified"})


def machine_identity(machine_id: str) -> str | None:
    """An identity derived from a machine id, as sd_id128_get_machine_app_specific(3) does; None for no valid id."""
    try:
        key = bytes.fromhex(machine_id.strip())
    except ValueError:
        return None
    if len(key) != 16 or not any(key):
        return None
    derived = bytearray(hmac.new(key, _APPLICATION, hashlib.sha256).digest()[:16])
    # A version 4 UUID (RFC 9562 section 5.4).
    derived[6] = derived[6] & 0x0F | 0x40
    derived[8] = derived[8] & 0x3F | 0x80
    return derived.hex()


def parse_os_release(text: str) -> Distribution:
    """The distribution of an os-release(5) text: shell-like assignments, quoted or not."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found.setdefault(name, _unquoted(value))
    return Distribution(
        id=found.get("ID"),
        name=found.get("PRETTY_NAME") or found.get("NAME"),
        version=found.get("VERSION_ID"),
    )


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] not in "\"'" or value[-1] != value[0]:
        return value
    inner = value[1:-1]
    if value[0] == "'":
        return inner
    out = []
    escaped = False
    for character in inner:
        if escaped or character != "\\":
            out.append(character)
            escaped = False
        else:
            escaped = True
    return "".join(out)


def distribution(files: Files) -> Distribution:
    """The distribution: /etc first, then /usr/lib, as os-release(5) has it."""
    text = files.text("/etc/os-release") or files.text("/usr/lib/os-release")
    return parse_os_release(text)


def kernel(files: Files) -> Kernel:
    """The kernel, from /proc/sys/kernel; the architecture is that of this process."""
    return Kernel(
        name=files.line("/proc/sys/kernel/ostype"),
        release=files.line("/proc/sys/kernel/osrelease"),
        version=files.line("/proc/sys/kernel/version"),
        architecture=os.uname().machine,
    )


def identity(files: Files) -> tuple[str | None, str | None, str | None]:
    """Host name, derived machine identity, boot id."""
    machine_id = files.line("/etc/machine-id") or files.line("/var/lib/dbus/machine-id")
    boot = files.line("/proc/sys/kernel/random/boot_id")
    name = files.line("/proc/sys/kernel/hostname") or files.line("/etc/hostname")
    return name, None if machine_id is None else machine_identity(machine_id), boot


def hardware(files: Files) -> str | None:
    """Vendor and product as DMI tells them, None where it does not (in most containers, on most ARM boards)."""
    parts = [files.line(f"{_DMI}/{name}") for name in ("sys_vendor", "product_name")]
    told = [part for part in parts if part is not None and part.lower() not in _FILLERS]
    return " ".join(told) or files.line("/proc/device-tree/model")
