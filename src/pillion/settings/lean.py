"""What the settings use of `typing`, without importing it.

The parser runs before every app that has settings, and `typing` with what it draws in (`collections`, `contextlib`, `functools`, `re`) took
a third of its time.
"""

# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202, ANN204, D102, SLOT001

from __future__ import annotations

from _operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import cast as cast
    from typing import dataclass_transform as dataclass_transform
else:
    # What follows is not typed: for the type checker it is what stands above.

    def cast(_kind, value):
        """Return `value`: the kind is for the type checker."""
        return value

    def dataclass_transform(**_said):
        """Return a decorator that does nothing: what is said is for the type checker."""
        return lambda cls: cls

    class NamedTuple(tuple):
        """A tuple whose items have the names of the class's annotations, and the defaults that stand there."""

        _fields = ()
        _defaults = {}  # noqa: RUF012 # of each class its own

        def __init_subclass__(cls):
            cls._fields = tuple(vars(cls).get("__annotations__", ()))
            cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
            for place, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(place)))

        def __new__(cls, *values, **named):
            rest = cls._fields[len(values) :]
            given = {**cls._defaults, **named}
            if len(values) > len(cls._fields) or not named.keys() <= set(rest):
                raise TypeError(f"{cls.__name__} holds {', '.join(cls._fields)}, each given once")
            try:
                return tuple.__new__(cls, (*values, *(given[name] for name in rest)))
            except KeyError as missing:
                raise TypeError(f"{cls.__name__} needs {missing.args[0]}") from None

        def __repr__(self):
            held = zip(self._fields, self, strict=True)
            return (
                f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in held)})"
            )

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            return type(self)(**{**self._asdict(), **changes})


__all__ = ["NamedTuple", "cast", "dataclass_transform"]
