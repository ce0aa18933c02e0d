"""The agent's part for secrets: it puts together what the settings name, what the keeper handed over, and nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pillion.logs.stamp import rfc3339
from pillion.processes.agent_part import Part
from pillion.secrets.catalogue import Catalogue, Source
from pillion.secrets.handed import HANDED, Handed, forbid_core_files
from pillion.secrets.secrets import Secrets
from pillion.secrets.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings
    from pillion.settings.secrets import Secret


class SecretsPart(Part):
    """Gives the API its secrets. Nothing is read before somebody asks, so nothing has to wait for `enable`."""

    def __init__(self, outfit: Outfit) -> None:
        self._handed = Handed(outfit.place.fds.get(HANDED))
        sources = sources_of(outfit.settings.secrets)
        if sources:
            forbid_core_files()
        access = outfit.context.access
        # Without an operator's token nobody can tell the versions of another start from these.
        token = access.tokens.operator if access is not None else b""
        self._secrets = Secrets(
            Catalogue(sources, os.environ),
            Versions(token or os.urandom(32)),
            self._handed.variable,
            lambda seconds: rfc3339(int(seconds * 1e9)),
            started_s(outfit.place.run),
        )
        outfit.context.secrets = self._secrets

    def settings(self, settings: Settings) -> None:
        """Take over what a reload has named."""
        sources = sources_of(settings.secrets)
        if sources:
            forbid_core_files()
        self._secrets.name_others(Catalogue(sources, os.environ))

    def stats(self) -> Stats:
        """How often values were read; never which."""
        return {
            "secret_reads_total": self._secrets.reads,
            "secret_timeouts_total": self._secrets.failures,
            "secret_waiters": self._secrets.watcher.waiters,
        }

    async def close(self) -> None:
        """End the waits."""
        self._secrets.close()
        self._handed.close()


def sources_of(named: Mapping[str, Secret]) -> tuple[Source, ...]:
    """What the settings name, one source for each."""
    return tuple(_source(name, secret) for name, secret in named.items())


def _source(name: str, secret: Secret) -> Source:
    operator_only = secret.access == "operator"
    if secret.env is not None:
        return Source(name, "env", secret.env, operator_only)
    if secret.credential is not None:
        return Source(name, "credential", secret.credential, operator_only)
    if secret.directory is not None:
        return Source(name, "directory", secret.directory, operator_only)
    assert secret.file is not None, "settings are validated before anybody sees them"
    return Source(name, "file", secret.file, operator_only)


def started_s(run: str) -> float:
    """When a run began, seconds since the epoch: the environment has been the same since then."""
    try:
        moment = datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S")
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=UTC).timestamp()
