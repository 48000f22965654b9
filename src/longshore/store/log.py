"""The durable side behind the view: what the writer asks of whichever database stands there."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """One resource as the log keeps it; a body of None deletes it."""

    kind: str
    key: str
    revision: int
    body: bytes | None


class Log(Protocol):
    async def append(self, rows: list[Row], revision: int, epoch: int) -> None:
        """Write all `rows` and the revision and epoch they lead to, in one database transaction, durable on return.

        Each (kind, key) occurs once. Raises StoreUnavailable when that is impossible, and then nothing was written.
        """

    async def wipe(self, revision: int, epoch: int) -> None:
        """Delete every row there is, durably. Raises StoreUnavailable."""

    async def reseal(self, most: int) -> int:
        """Seal up to `most` rows with the current generation of keys that another one has sealed; how many there were.

        Raises StoreUnavailable.
        """

    async def close(self) -> None: ...
