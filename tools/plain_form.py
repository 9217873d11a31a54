"""What writer and reader of the plain-data encoding (`tools.plain`) share: its bounds and its errors."""

from __future__ import annotations

MAX_DEPTH = 200
"""Nested containers. JSON's own recursion and the interpreter's default limit leave room for this."""

MAX_ITEMS = 2_000_000
"""Values in one, containers counted too."""

SMALL_INT = 1 << 63
"""What is below this in size is written as a JSON number."""


class PlainError(ValueError):
    """The value is not plain data, or the encoding is not one. The message says which part and why."""


class TooMuchError(PlainError):
    """It would be plain data, but for its depth or its size."""


class Budget:
    """Counts the values of one encoding and the containers around each."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._left = MAX_ITEMS

    def count(self) -> None:
        """Count one value.

        Raises:
            TooMuchError: that was one too many.
        """
        self._left -= 1
        if self._left < 0:
            msg = f"more than {MAX_ITEMS} values"
            raise TooMuchError(msg)

    @staticmethod
    def check_depth(depth: int) -> None:
        """Raise TooMuchError if no container may be `depth` containers deep."""
        if depth >= MAX_DEPTH:
            msg = f"nested deeper than {MAX_DEPTH}"
            raise TooMuchError(msg)


def type_of(value: object) -> type[object]:
    """Return the type of `value`; of a value that may be anything, `type` tells a type checker too little."""
    return type(value)
