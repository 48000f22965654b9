"""The installation's secret, in generations: what signs and seals now, and what is still good of what did before.

There is one `Keyring` in a server, shared by all who sign or seal. A rotation puts another set of generations into it, and
everybody goes by it from the next use on. A generation that is dropped loses its secret and keeps one key, derived from it one
way: what containers that still run have in their environment is worked out from that (`Keyring.lasting`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
#: derived keys held ready: a few per purpose, and purposes are few but for one per load balancer
_HELD = 4096
_LASTING = "lasting"


class Generation(msgspec.Struct, frozen=True):
    """One secret of the installation's, and when it came to be (seconds since the epoch; 0: before that was noted)."""

    #: from 1 on, growing
    number: int
    #: 32 bytes; none once it has been dropped
    secret: bytes
    made_at: float = 0.0
    #: what stays of one that was dropped
    remains: bytes = b""
    #: nothing that was signed with it is good any more; it only opens what lies here, until that is sealed anew
    is_over: bool = False

    def __repr__(self) -> str:
        return f"Generation({self.number}{'' if self.secret else ', dropped'})"

    def ended(self) -> Generation:
        return msgspec.structs.replace(self, is_over=True)

    @property
    def lasting(self) -> bytes:
        return derive(self.secret, _LASTING) if self.secret else self.remains

    def dropped(self) -> Generation:
        return Generation(self.number, b"", self.made_at, self.lasting, is_over=True)


class Keyring:
    """Compared by identity. `era` grows with every change: whoever remembers what a seal opened to forgets it then."""

    __slots__ = ("_all", "_living", "_trusted", "era")

    def __init__(self, generations: Iterable[Generation]) -> None:
        """In the order of their numbers; the last one is current and has a secret."""
        self.era = 0
        self.replace(generations)

    @classmethod
    def of(cls, secret: bytes) -> Keyring:
        """One with a single generation."""
        return cls((Generation(1, secret),))

    def __repr__(self) -> str:
        return f"Keyring({', '.join(str(generation.number) for generation in self._living)})"

    def replace(self, generations: Iterable[Generation]) -> None:
        found = tuple(generations)
        if not found or not found[-1].secret or found[-1].is_over or [one.number for one in found] != sorted({one.number for one in found}):
            raise ValueError("a keyring has generations in order, and the last of them is current")
        self._all = found
        self._living = tuple(one for one in reversed(found) if one.secret)
        self._trusted = tuple(one for one in self._living if not one.is_over)
        self.era += 1

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that were dropped, too; the oldest first."""
        return self._all

    @property
    def living(self) -> tuple[Generation, ...]:
        """Those that have a secret, the newest first."""
        return self._living

    @property
    def trusted(self) -> tuple[Generation, ...]:
        """Those whose signatures are good, the newest first."""
        return self._trusted

    @property
    def current(self) -> Generation:
        return self._living[0]

    def lasting(self, purpose: str, at: float) -> bytes:
        """A key for what was given out at that time and must stay the same for as long as it is used, whatever is rotated since."""
        found = next((one for one in reversed(self._all) if one.made_at <= at), self._all[0])
        return derive(found.lasting, purpose)


@lru_cache(maxsize=_HELD)
def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes of key for `purpose`."""
    return HKDF(SHA256(), SECRET_BYTES, None, f"longshore:{purpose}".encode()).derive(secret)
