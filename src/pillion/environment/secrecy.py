"""What must not be told: credentials in URLs, and every environment value but a few that are known to be none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names of places and not secrets, by their customary meaning; nothing else of an environment is ever looked at.
ALLOWED = frozenset(
    {
        "container",
        "HOSTNAME",
        "KUBERNETES_SERVICE_HOST",
        "POD_NAME", "MY_POD_NAME", "K8S_POD_NAME",
        "POD_NAMESPACE", "MY_POD_NAMESPACE", "K8S_NAMESPACE", "K8S_POD_NAMESPACE",
        "POD_UID", "MY_POD_UID", "K8S_POD_UID",
        "POD_IP", "MY_POD_IP", "K8S_POD_IP",
        "NODE_NAME", "MY_NODE_NAME", "K8S_NODE_NAME",
        "SERVICE_ACCOUNT", "POD_SERVICE_ACCOUNT", "MY_POD_SERVICE_ACCOUNT",
    }
)  # fmt: skip
_MOST = 512

# scheme://userinfo@ (RFC 3986 section 3.2.1); and, since some clients take a password with a slash in it, whatever comes after a colon
# that begins no port, up to the last @.
_USERINFO = re.compile(
    r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)(?:[^\s/?#]*@|[^\s/?#@:]*:(?!\d*(?:[/?#\s]|$))\S*@)"
)


def allowed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environment` that may be looked at, cut to a bounded length."""
    return {name: environment[name][:_MOST] for name in ALLOWED if environment.get(name)}


def without_userinfo(text: str) -> str:
    """`text` with the userinfo of every URL in it left out."""
    return _USERINFO.sub(r"\1", text) if "@" in text else text
