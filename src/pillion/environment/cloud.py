"""Cloud instance metadata: asked for only where the hardware says that this is such a host, and never anything secret.

Which provider is decided from what DMI and the hypervisor say. The service is asked for single facts by name: whole trees hold
start-up scripts, keys and credentials. Every exchange is bounded in time and bytes, and never goes through a proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from pillion.environment.facts import Cloud

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.base.host_files import Files

AWS, GCP, AZURE = "aws", "gcp", "azure"
# The same link-local address with all three.
SERVICE = "169.254.169.254:80"

_DMI = "/sys/class/dmi/id"
# The asset tag of every Azure machine; the vendor alone may be any Hyper-V.
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
# For a token that is used at once.
_TOKEN_TTL_S = b"30"
_AZURE_VERSION = "2021-02-01"

Fields = tuple[tuple[bytes, bytes], ...]


class Told(msgspec.Struct, frozen=True):
    """An answer of the metadata service; header names are lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Ask(Protocol):
    """Sends one request to the metadata service. Raises `OSError` (or a subclass) when nobody answers within the bounds."""

    async def __call__(self, method: str, path: str, headers: Fields) -> Told:
        """The answer, whatever its status."""


class UntoldError(Exception):
    """The service did not tell; the text says why."""


def find_provider(files: Files) -> str | None:
    """The cloud that this host is of, by its hardware's own word; None for none or an unknown one."""
    vendor = files.line(f"{_DMI}/sys_vendor") or ""
    product = files.line(f"{_DMI}/product_name") or ""
    if vendor == "Amazon EC2" or files.line(f"{_DMI}/bios_vendor") == "Amazon EC2":
        return AWS
    # Instances on Xen: the hypervisor's and the machine's uuid both begin so.
    if (files.line("/sys/hypervisor/uuid") or "").lower().startswith("ec2"):
        return AWS
    if product == "Google Compute Engine":
        return GCP
    if files.line(f"{_DMI}/chassis_asset_tag") == _AZURE_TAG:
        return AZURE
    return None


async def ask_provider(provider: str, ask: Ask) -> Cloud:
    """What the provider's metadata service tells; with `error` set when it does not."""
    try:
        if provider == AWS:
            return await _aws(ask)
        if provider == GCP:
            return await _gcp(ask)
        assert provider == AZURE, provider
        return await _azure(ask)
    except (UntoldError, OSError, msgspec.MsgspecError) as error:
        return Cloud(provider=provider, error=f"cannot ask the metadata service: {error}")


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """The instance identity document of EC2."""

    account_id: str | None = None
    instance_id: str | None = None
    instance_type: str | None = None
    region: str | None = None
    availability_zone: str | None = None
    image_id: str | None = None


async def _aws(ask: Ask) -> Cloud:
    """By IMDSv2: a token first, which a request forged through an open proxy cannot get."""
    token = _content(
        await ask(
            "PUT", "/latest/api/token", ((b"x-aws-ec2-metadata-token-ttl-seconds", _TOKEN_TTL_S),)
        )
    )
    path = "/latest/dynamic/instance-identity/document"
    body = _content(await ask("GET", path, ((b"x-aws-ec2-metadata-token", token),)))
    told = msgspec.json.decode(body, type=_Document)
    return Cloud(
        provider=AWS,
        account=told.account_id,
        instance=told.instance_id,
        kind=told.instance_type,
        region=told.region,
        zone=told.availability_zone,
        image=told.image_id,
    )


async def _gcp(ask: Ask) -> Cloud:
    async def fact(path: str) -> str | None:
        told = await ask("GET", f"/computeMetadata/v1/{path}", ((b"metadata-flavor", b"Google"),))
        if told.headers.get(b"metadata-flavor") != b"Google":
            raise UntoldError("what answers is not Google's")
        if told.status == 404:
            return None
        return _content(told).decode("utf-8", "replace").strip()

    # Full resource names: projects/123/zones/europe-west1-b.
    zone = _last(await fact("instance/zone"))
    return Cloud(
        provider=GCP,
        account=await fact("project/project-id"),
        instance=await fact("instance/id"),
        name=await fact("instance/name"),
        kind=_last(await fact("instance/machine-type")),
        region=None if zone is None else zone.rpartition("-")[0],
        zone=zone,
        image=_last(await fact("instance/image")),
    )


class _Compute(msgspec.Struct, frozen=True, rename="camel"):
    """The part of Azure's answer that is looked at."""

    subscription_id: str | None = None
    vm_id: str | None = None
    name: str | None = None
    vm_size: str | None = None
    location: str | None = None
    zone: str | None = None
    offer: str | None = None
    sku: str | None = None


async def _azure(ask: Ask) -> Cloud:
    path = f"/metadata/instance/compute?api-version={_AZURE_VERSION}&format=json"
    body = _content(await ask("GET", path, ((b"metadata", b"true"),)))
    told = msgspec.json.decode(body, type=_Compute)
    return Cloud(
        provider=AZURE,
        account=told.subscription_id,
        instance=told.vm_id,
        name=told.name,
        kind=told.vm_size,
        region=told.location,
        zone=told.zone or None,
        image=_joined(told.offer, told.sku),
    )


def _content(told: Told) -> bytes:
    if told.status != 200:
        raise UntoldError(f"it answered {told.status}")
    return told.body


def _last(name: str | None) -> str | None:
    return None if name is None else name.rpartition("/")[2]


def _joined(*parts: str | None) -> str | None:
    return " ".join(_given(parts)) or None


def _given(parts: Sequence[str | None]) -> list[str]:
    return [part for part in parts if part]
