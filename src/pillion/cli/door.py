"""How a command reaches an instance: the agent's API, or the keeper itself when the agent does not answer.

The agent is asked first because it knows more (journal, settings); the keeper is always there, and what
concerns processes works without an agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec

from pillion.cli import api_client
from pillion.cli.instances import chosen_instance
from pillion.cli.keeper_socket import call_keeper
from pillion.errors import UnreachableError
from pillion.keeper.places import API_SOCKET, KEEPER_SOCKET
from pillion.model.component import Component, Overview, Status

if TYPE_CHECKING:
    import argparse

    from pillion.cli.instances import Found

T = TypeVar("T")

AGENT = "agent"

# Stopping a component takes as long as its stop_timeout lets it.
ACTION_TIMEOUT_S = 120.0


class Door:
    """The way into one instance. Every method raises `RefusedError` for a no and `UnreachableError` for silence."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self._agent_answers: bool | None = None

    def status(self) -> Status:
        """The instance's facts and components."""
        if self._agent():
            answer = self.api("GET", "/v1/components", Overview, timeout_s=5.0)
            return answer.status()
        return self._keeper("status", {}, Status, timeout_s=5.0)

    def act(self, action: str, name: str, parameters: dict[str, object] | None = None) -> Component:
        """Start, stop, restart or signal the component `name`, and return what it is then."""
        parameters = parameters or {}
        # The agent's own answer to its own end could only be half of the truth.
        if name != AGENT and self._agent():
            path = f"/v1/components/{quote(name, safe='')}/{action}"
            return self.api("POST", path, Component, body=parameters)
        return self._keeper(action, {"name": name, **parameters}, Component)

    def limit(self, name: str, limits: object) -> Component:
        """Change limits of the component `name`."""
        if self._agent():
            path = f"/v1/components/{quote(name, safe='')}/limits"
            return self.api("PATCH", path, Component, body=limits)
        return self._keeper("limits", {"name": name, "limits": limits}, Component)

    def operate(
        self, operation: str, parameters: object, result: type[T], *, timeout_s: float
    ) -> T:
        """Shut down or upgrade the instance."""
        if self._agent():
            path = f"/v1/{operation}"
            return self.api("POST", path, result, body=parameters, timeout_s=timeout_s)
        return self._keeper(operation, parameters, result, timeout_s=timeout_s)

    def api(
        self,
        method: str,
        path: str,
        result: type[T],
        *,
        body: object = None,
        timeout_s: float = ACTION_TIMEOUT_S,
    ) -> T:
        """Ask the agent and nobody else."""
        data = None if body is None else msgspec.json.encode(body)
        answer = api_client.request(
            self.found.path(API_SOCKET), method, path, data, timeout_s=timeout_s
        )
        try:
            return msgspec.json.decode(answer, type=result)
        except msgspec.DecodeError as error:
            raise UnreachableError(
                f"cannot read the agent's answer to {method} {path}: {error}; "
                "is it of another version? see `pillion status`"
            ) from error

    def _agent(self) -> bool:
        """Whether the agent answers, asked once: what changes something is then sent to one of the two only."""
        if self._agent_answers is None:
            self._agent_answers = api_client.answers(self.found.path(API_SOCKET))
        return self._agent_answers

    def _keeper(
        self,
        method: str,
        parameters: object,
        result: type[T],
        *,
        timeout_s: float = ACTION_TIMEOUT_S,
    ) -> T:
        path = self.found.path(KEEPER_SOCKET)
        return call_keeper(path, method, parameters, result, timeout_s=timeout_s)


def open_door(args: argparse.Namespace) -> Door:
    """The door of the instance that `args.instance`, the environment or the host's only one means."""
    return Door(chosen_instance(args.instance))
