from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.sealing import SealBroken, seal, unseal

SECRET = b"s" * 32


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_again_for_the_same_purpose_only(content: bytes) -> None:
    sealed = seal(SECRET, "one", content)
    assert unseal(SECRET, "one", sealed) == content
    for secret, purpose in ((SECRET, "other"), (b"t" * 32, "one")):
        with pytest.raises(SealBroken):
            unseal(secret, purpose, sealed)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_or_shortened_seal_does_not_open(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(SECRET, "one", content))
    place = data.draw(st.integers(0, len(sealed) - 1))
    for broken in (bytes(sealed[:place]), bytes(sealed[:place]) + bytes([sealed[place] ^ 1]) + bytes(sealed[place + 1 :])):
        with pytest.raises(SealBroken):
            unseal(SECRET, "one", broken)
