"""Generations of the installation's secret: what the newest seals, and what the older ones still open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.data_keys import SealedKey, lock_of, locks_of, new_data_key, open_data_key, sealed_to_newest
from longshore.kit.keyring import Generation, Keyring
from longshore.kit.sealing import (
    MARK,
    SealBroken,
    derived_key,
    derived_keys,
    era_of,
    generation_of,
    is_sealed_anew,
    lasting_key,
    resealed,
    seal,
    unseal,
)

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def ring(*secrets: bytes) -> Keyring:
    return Keyring(Generation(number, secret, 100.0 * (number - 1)) for number, secret in enumerate(secrets, 1))


@given(st.binary(max_size=60), st.integers(1, 4), st.integers(0, 3))
def test_what_any_generation_sealed_opens_for_as_long_as_it_is_there(content: bytes, many: int, more: int) -> None:
    secrets = [bytes([number]) * 32 for number in range(many + more)]
    sealed = seal(ring(*secrets[:many]), "one", content, b"about")
    later = ring(*secrets)
    assert unseal(later, "one", sealed, b"about") == content
    assert generation_of(sealed) == many
    assert is_sealed_anew(later, sealed) == (more == 0)
    for purpose, about in (("other", b"about"), ("one", b"else"), ("one", b"")):
        with pytest.raises(SealBroken):
            unseal(later, purpose, sealed, about)
    anew = resealed(later, "one", sealed, b"about")
    assert is_sealed_anew(later, anew)
    assert unseal(later, "one", anew, b"about") == content
    assert resealed(later, "one", anew, b"about") == anew


@given(st.binary(max_size=60))
def test_what_was_sealed_before_there_were_generations_is_the_firsts(content: bytes) -> None:
    unmarked = seal(A, "one", content)
    assert unseal(ring(A), "one", unmarked) == content
    assert unseal(ring(A, B), "one", unmarked) == content
    assert not is_sealed_anew(ring(A), unmarked)
    with pytest.raises(SealBroken):
        unseal(ring(B, A), "one", unmarked)


def test_what_has_no_mark_opens_even_where_it_begins_as_if_it_had_one() -> None:
    while not (unmarked := seal(A, "one", b"content")).startswith(MARK):
        pass
    assert unseal(ring(A, B), "one", unmarked) == b"content"


@given(st.data())
def test_a_seal_of_a_generation_that_was_changed_does_not_open(data: st.DataObject) -> None:
    keys = ring(A, B)
    sealed = bytearray(seal(keys, "one", b"some content"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        unseal(keys, "one", bytes(sealed))


@given(st.binary(max_size=40))
def test_what_nobody_sealed_does_not_open(junk: bytes) -> None:
    for content in (junk, MARK + junk, MARK + bytes((0, 0, 0, 1)) + junk):
        with pytest.raises(SealBroken):
            unseal(ring(A, B), "one", content)


def test_a_rotation_is_seen_by_all_who_hold_the_keyring() -> None:
    keys = ring(A)
    before, era = seal(keys, "one", b"content"), era_of(keys)
    keys.replace((*keys.generations, Generation(2, B, 100.0)))
    assert era_of(keys) != era
    assert generation_of(seal(keys, "one", b"content")) == 2
    assert unseal(keys, "one", before) == b"content"
    assert derived_key(keys, "one") == derived_key(B, "one")
    assert derived_keys(keys, "one") == (derived_key(B, "one"), derived_key(A, "one"))


def test_a_generation_that_is_dropped_opens_nothing_and_leaves_what_must_stay_the_same() -> None:
    keys = ring(A, B, C)
    sealed, lasting = seal(ring(A), "one", b"content"), [lasting_key(keys, "id", at) for at in (0.0, 99.9, 100.0, 250.0)]
    assert lasting[0] == lasting[1] != lasting[2] != lasting[3]
    keys.replace((keys.generations[0].dropped(), *keys.generations[1:]))
    with pytest.raises(SealBroken):
        unseal(keys, "one", sealed)
    assert [lasting_key(keys, "id", at) for at in (0.0, 99.9, 100.0, 250.0)] == lasting
    assert A not in b"".join(generation.secret + generation.remains for generation in keys.generations)
    assert len(derived_keys(keys, "one")) == 2


@pytest.mark.parametrize(
    "generations",
    [
        (),
        (Generation(1, b""),),
        (Generation(2, A), Generation(1, B)),
        (Generation(1, A), Generation(1, B)),
        (Generation(1, A), Generation(2, b"")),
    ],
)
def test_what_is_no_row_of_generations_is_no_keyring(generations: tuple[Generation, ...]) -> None:
    with pytest.raises(ValueError, match="generations in order"):
        Keyring(generations)


def test_neither_a_keyring_nor_a_generation_shows_its_secret() -> None:
    keys = ring(A, B)
    keys.replace((keys.generations[0].dropped(), keys.generations[1]))
    for shown in (repr(keys), repr(keys.generations), str(keys)):
        assert "aaa" not in shown
        assert "bbb" not in shown


def test_a_data_key_is_sealed_anew_under_its_id_and_stays_what_it_is() -> None:
    keys = ring(A)
    key = new_data_key(lock_of(keys))
    content = open_data_key(keys, key)
    assert sealed_to_newest(keys, key) is key
    keys.replace((*keys.generations, Generation(2, B)))
    assert locks_of(keys) == (lock_of(B), lock_of(A))
    assert open_data_key(keys, key) == content
    anew = sealed_to_newest(keys, key)
    assert (anew.id, anew.sealed) != (key.id, key.sealed)
    assert anew.id == key.id
    assert open_data_key(B, anew) == content
    with pytest.raises(SealBroken):
        open_data_key(A, anew)
    with pytest.raises(SealBroken):
        sealed_to_newest(keys, SealedKey(key.id, b"junk" * 20))
