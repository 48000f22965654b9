"""How many of something the rows of the fleet's columns have: tasks of a group, holders of a port.

Most groups and ports occur on few instances, and there may be very many of them, so what is always kept is a dictionary of the
rows that have any. Whole columns, and sums by the values of an attribute, are made for those that decisions ask about, kept
current from then on, and dropped again when others are asked about more (`Columns.dense`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: half the width of what numpy counts with by itself: twice as many in a glance
Ints = NDArray[np.int32]
#: instance by instance, which element of another array
Indexes = NDArray[np.intp]


class Tally:
    __slots__ = ("column", "rows", "sums")

    def __init__(self) -> None:
        #: row -> how many, for those that have any
        self.rows: dict[int, int] = {}
        #: the same for all rows, while somebody asks
        self.column: Ints | None = None
        #: attribute name -> how many by the code of the instance's value; which attribute column it was made for is noted beside
        self.sums: dict[str, tuple[int, Ints]] | None = None

    def add(self, row: int, amount: int) -> None:
        standing = self.rows.get(row, 0) + amount
        if standing:
            self.rows[row] = standing
        else:
            self.rows.pop(row, None)
        if self.column is not None:
            self.column[row] += amount

    def make_column(self, size: int) -> Ints:
        column = np.zeros(size, np.int32)
        if self.rows:
            column[np.fromiter(self.rows.keys(), np.intp, len(self.rows))] = np.fromiter(self.rows.values(), np.int32, len(self.rows))
        self.column = column
        return column

    def copy(self) -> Tally:
        """Without the columns that somebody asked for."""
        other = Tally()
        other.rows = dict(self.rows)
        return other

    def drop(self) -> None:
        self.column = None
        self.sums = None


class Values:
    """One attribute of every row: a small number (a code) for each distinct value, 0 for instances that do not have it."""

    __slots__ = ("codes", "edition", "known", "texts")

    def __init__(self, size: int) -> None:
        self.codes: Indexes = np.zeros(size, np.intp)
        self.known: dict[str, int] = {}
        #: by code
        self.texts: list[str | None] = [None]
        #: counted up when a row's value changes: sums made before are no longer true
        self.edition = 0

    def put(self, row: int, value: str | None) -> None:
        code = 0 if value is None else self.known.get(value, -1)
        if code < 0:
            assert value is not None
            code = self.known[value] = len(self.texts)
            self.texts.append(value)
        if self.codes[row] != code:
            self.codes[row] = code
            self.edition += 1
