"""Leases: who may write as the leader of something, told apart by epochs that only grow.

In one process everybody leads at once; the epochs still matter, because what an earlier holder began must not be written
after a later one has taken over, be it in this process or after a restart.
"""

from __future__ import annotations

from longshore.store.base import Fenced


class Leases:
    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Leases({', '.join(f'{name} at epoch {epoch}' for name, epoch in self._epochs.items())})"

    def grant(self, name: str, epoch: int) -> None:
        """`epoch` leads `name` from now on, unless a later one does already."""
        self._epochs[name] = max(epoch, self._epochs.get(name, 0))

    def check(self, epoch: int) -> None:
        """Raises Fenced when no lease is at `epoch` any more."""
        if epoch not in self._epochs.values():
            raise Fenced(f"the lease of epoch {epoch} has moved on: {self!r}")
