"""What a template can ask for, and what it asked for: each function of a template finds its value, or notes that it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from pillion.proxies.templating.engine import Unknown
from pillion.proxies.templating.filters import UnwritableError, shown
from pillion.proxies.templating.references import ABSENT, Member, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.proxies.templating.references import SourceKind

MOST_REFERENCES = 10_000
_LIVE = ({"config"}, {"config", "default"})

Found: TypeAlias = "object"


class Pending:
    """In the place of a value that has still to be fetched: whatever is done with it goes on, so that the template names the others too."""

    def __getattr__(self, name: str) -> Pending:
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> Pending:
        return self

    def __call__(self, *args: object, **options: object) -> Pending:  # noqa: D102, ARG002 # whatever it is
        return self

    def __iter__(self) -> Iterator[object]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "pending"


PENDING = Pending()


class Asking:
    """One rendering's view of the sources: `used` is what it asked for, `missing` what of it is not there."""

    def __init__(self, values: Mapping[Reference, object]) -> None:
        self._values = values
        self.used: set[Reference] = set()
        self.missing: set[Reference] = set()
        self.members: dict[str, tuple[Member, ...]] = {}
        self.holdings: dict[str, frozenset[str]] = {}
        self.secrets: set[str] = set()

    def value(self, kind: SourceKind, name: object = "") -> object:
        """The value of a reference; `PENDING` while it is missing."""
        if not isinstance(name, str):
            if isinstance(name, Pending):
                return PENDING
            raise UnwritableError(f"{kind}({shown(name)}) takes a text")
        reference = Reference(kind, name)
        self.used.add(reference)
        if len(self.used) > MOST_REFERENCES:
            raise UnwritableError(f"it asks for more than {MOST_REFERENCES} things")
        if reference not in self._values:
            self.missing.add(reference)
            return PENDING
        return self._values[reference]

    def config(self, key: str, *default: object) -> object:
        """The value of a configuration key; `default` when it is not set."""
        value = self.value("config", key)
        if value is ABSENT:
            return (
                default[0]
                if default
                else Unknown(f"the configuration key {key} is not set, and has no default here")
            )
        return value

    def tree(self, prefix: str) -> object:
        """The configuration keys below `prefix`, without it, each with its value."""
        value = self.value("tree", prefix)
        if isinstance(value, Mapping):
            self.holdings[f"tree {prefix}"] = frozenset(map(str, value))
            return {key: value[key] for key in sorted(value)}
        return value

    def service(
        self,
        name: str,
        *,
        tags: tuple[str, ...] | list[str] = (),
        zone: str | None = None,
        every: bool = False,
    ) -> object:
        """The members of a service that can take work, sorted by id; all of them with `every`. `tags` must all be there, `zone` is the one."""
        value = self.value("service", name)
        if isinstance(value, Pending):
            return value
        members = tuple(sorted(cast("tuple[Member, ...]", value), key=lambda one: one.id))
        self.members[name] = members
        self.holdings[f"service {name}"] = frozenset(one.id for one in members if one.is_usable)
        wanted = frozenset(tags)
        return [
            one
            for one in members
            if (every or one.is_usable)
            and wanted.issubset(one.tags)
            and (zone is None or one.zone == zone)
        ]

    def file(self, path: str, *default: object) -> object:
        """A file's text, without the line feed at its end; `default` when there is none."""
        value = self.value("file", path)
        if value is ABSENT:
            return (
                default[0] if default else Unknown(f"there is no file {path}, and no default here")
            )
        if not isinstance(value, str):
            return value
        self.holdings[f"file {path}"] = frozenset({"text"} if value.strip() else ())
        return value.removesuffix("\n")

    def secret(self, name: str) -> object:
        """A secret's value, which no message shows."""
        value = self.value("secret", name)
        if value is ABSENT:
            return Unknown(f"there is no secret {name}")
        if not isinstance(value, str):
            return value
        found = value.removesuffix("\n")
        self.secrets.add(found)
        return found


class Live(Mapping[str, object]):
    """The settings' values as templates see them: one that is written `{ config = "key", default = … }` is that key's, whenever it changes."""

    def __init__(self, values: Mapping[str, object], asking: Asking) -> None:
        self._values = values
        self._asking = asking

    def __getitem__(self, name: str) -> object:
        return self._resolved(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self._values))

    def _resolved(self, value: object) -> object:
        if isinstance(value, Mapping):
            if set(value) in _LIVE and isinstance(value["config"], str):
                default = (value["default"],) if "default" in value else ()
                return self._asking.config(value["config"], *default)
            return Live(value, self._asking)
        if isinstance(value, list | tuple):
            return [self._resolved(one) for one in value]
        return value


class Lazy(Mapping[str, object]):
    """A table that is asked for when something of it is used: `environment.host.name`."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask

    def _table(self) -> Mapping[str, object]:
        return cast("Mapping[str, object]", self._ask())

    def __getitem__(self, name: str) -> object:
        return self._table()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())
