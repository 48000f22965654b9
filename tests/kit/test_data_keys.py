"""Data keys: sealed without a secret, opened with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.data_keys import KEY_BYTES, SealedKey, lock_of, new_data_key, open_data_key
from longshore.kit.sealing import SealBroken

SECRET, OTHER = b"s" * 32, b"t" * 32


def test_who_holds_the_secret_opens_what_was_sealed_to_its_lock() -> None:
    one, other = new_data_key(lock_of(SECRET)), new_data_key(lock_of(SECRET))
    assert len(open_data_key(SECRET, one)) == KEY_BYTES
    assert open_data_key(SECRET, one) == open_data_key(SECRET, one)
    assert open_data_key(SECRET, one) != open_data_key(SECRET, other)
    assert one.id != other.id


def test_nobody_else_opens_it() -> None:
    with pytest.raises(SealBroken):
        open_data_key(OTHER, new_data_key(lock_of(SECRET)))


def test_a_key_is_not_shown_where_it_is_printed() -> None:
    key = new_data_key(lock_of(SECRET))
    assert repr(key) == f"SealedKey({key.id})"


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_what_was_changed_by_a_single_bit_does_not_open(at: int, flip: int) -> None:
    key = new_data_key(lock_of(SECRET))
    changed = bytearray(key.sealed)
    changed[at % len(changed)] ^= flip
    with pytest.raises(SealBroken):
        open_data_key(SECRET, SealedKey(key.id, bytes(changed)))


@pytest.mark.parametrize("sealed", [b"", b"x" * 31, b"x" * 32, b"\0" * 80])
def test_what_is_no_sealed_key_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        open_data_key(SECRET, SealedKey("0" * 32, sealed))


def test_a_key_under_another_id_does_not_open() -> None:
    key = new_data_key(lock_of(SECRET))
    with pytest.raises(SealBroken):
        open_data_key(SECRET, SealedKey("0" * 32, key.sealed))
