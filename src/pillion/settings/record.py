"""Frozen records of settings. What dataclasses would do, without the 30 ms that importing them and generating some twenty classes
would add to every start of `pillion run` with a settings file.
"""

from __future__ import annotations

from types import MappingProxyType

from pillion.settings.lean import NamedTuple, cast, dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar, Self, TypeVar

    from pillion.settings.kinds import Kind

    T = TypeVar("T")

LIVE = ""
"""A change is applied while everything runs."""
INSTANCE = "instance"
"""A change needs `pillion run` to be started anew."""

NOTHING: Mapping[str, str] = MappingProxyType({})
"""The default of a map: nobody can add to it."""


class Spec(NamedTuple):
    """What is known about a setting. `restart` names what must restart for a change; LIVE: nothing."""

    kind: Kind
    doc: str
    default: object
    restart: str
    example: object
    required: bool
    also: tuple[str, ...]
    """Names that people try for it; they are refused, with the right one suggested."""


class Member(NamedTuple):
    """A setting as a member of its table: `name` in TOML, `attribute` in the record (with the unit at its end)."""

    name: str
    attribute: str
    spec: Spec


def setting(
    kind: Kind,
    doc: str,
    *,
    default: T,
    restart: str = LIVE,
    example: object = None,
    required: bool = False,
    also: tuple[str, ...] = (),
) -> T:
    """A field of a Record. `example` is a value as a user would write it, for settings whose default says nothing."""
    # The declared type is the value's; what stands there until the class is made is the description.
    return cast("T", Spec(kind, doc, default, restart, example, required, also))


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
class Record:
    """A frozen record whose fields are settings: keyword arguments, defaults for what is not given, equality by value."""

    members: ClassVar[tuple[Member, ...]] = ()

    def __init_subclass__(cls) -> None:
        found = []
        for attribute, spec in list(vars(cls).items()):
            if isinstance(spec, Spec):
                found.append(Member(attribute.removesuffix(spec.kind.suffix), attribute, spec))
                setattr(cls, attribute, spec.default)
        cls.members = tuple(found)

    def __init__(self, **values: object) -> None:
        known = {member.attribute for member in self.members}
        if not known.issuperset(values):
            raise TypeError(
                f"{type(self).__name__} has no {', '.join(sorted(values.keys() - known))}"
            )
        # What is not given is found in the class.
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot set {name}: settings are frozen; use replace()")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name}: settings are frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    # Maps among the values cannot be hashed.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        held = zip(self.members, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{member.attribute}={value!r}' for member, value in held)})"

    def replace(self, **changes: object) -> Self:
        """A copy with other values for some fields. Raises TypeError for a field that there is not."""
        return type(self)(**{**self.__dict__, **changes})

    def _values(self) -> list[object]:
        return [getattr(self, member.attribute) for member in self.members]
