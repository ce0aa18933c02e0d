"""How a call is answered: once, with a result or with what a problem document needs (RFC 9457)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .wire import Channel, Json


class Refused(Exception):
    """A call that cannot be carried out: an HTTP status, a title, and a detail with culprit and remedy."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title


class Reply:
    """Where the answer of one call goes, once."""

    __slots__ = ("_id", "channel")

    def __init__(self, channel: Channel, number: Json) -> None:
        self.channel = channel
        self._id = number

    @property
    def number(self) -> Json:
        """The caller's number for this call."""
        return self._id

    def result(self, result: dict[str, Json]) -> None:
        """Answer."""
        self.channel.send({"op": "reply", "id": self._id, "result": result})

    def error(self, status: int, title: str, detail: str) -> None:
        """Refuse."""
        error: dict[str, Json] = {"status": status, "title": title, "detail": detail}
        self.channel.send({"op": "reply", "id": self._id, "error": error})
