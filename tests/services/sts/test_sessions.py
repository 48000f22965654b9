"""Session tokens: what is sealed in them comes out again, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.sigv4 import Secret
from longshore.services.call import Principal
from longshore.services.iam.identities import Credentials
from longshore.services.sts.model import KINDS
from longshore.services.sts.sessions import (
    LONGEST_TOKEN,
    Claims,
    Sessions,
    TokenInvalid,
    merged,
    packed_size,
    read_token,
    write_token,
)
from longshore.store.memory import memory_store

SECRET = b"s" * 32
TEXTS = st.text(max_size=20)
CLAIMS = st.builds(
    Claims,
    TEXTS,
    TEXTS,
    TEXTS,
    st.floats(0, 1e10),
    st.floats(0, 1e10),
    role_arn=TEXTS,
    session_name=TEXTS,
    policies=st.none() | st.lists(TEXTS, max_size=2).map(tuple),
    tags=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
)


@given(CLAIMS)
def test_a_token_says_what_was_sealed_in_it(claims: Claims) -> None:
    assert read_token(SECRET, write_token(SECRET, claims)) == claims


@given(CLAIMS, st.integers(0, 10_000), st.integers(1, 255))
def test_a_token_that_was_changed_or_is_of_another_installation_is_none(claims: Claims, place: int, change: int) -> None:
    token = write_token(SECRET, claims)
    with pytest.raises(TokenInvalid):
        read_token(b"t" * 32, token)
    place %= len(token) - 1  # the last character may hold bits that mean nothing
    other = token[:place] + chr((ord(token[place]) + change) % 128) + token[place + 1 :]
    if other != token:
        with pytest.raises(TokenInvalid):
            read_token(SECRET, other)


@pytest.mark.parametrize("token", ["", "LSt1", "LSt1AAAA", "LSt1" + "A" * 200, "LSt1é", "x" * 100, "LSt1" + "A" * LONGEST_TOKEN])
async def test_what_was_never_sealed_is_none(token: str) -> None:
    with pytest.raises(TokenInvalid):
        read_token(SECRET, token)
    store = memory_store(KINDS)
    assert Sessions(store, SECRET, lambda key: None).credentials(token) is None
    await store.close()


def test_a_token_of_the_most_that_may_be_packed_is_not_too_long() -> None:
    noise = "".join(chr(33 + byte % 94) for number in range(40) for byte in sha512(bytes([number])).digest())
    policies = (noise[:1880],)
    assert 1500 < packed_size(policies, (), ()) <= 2048
    claims = Claims(
        "1" * 12, "A" * 20, noise[-40:], 1.0, 2.0, noise[1900:2300], noise[:21], noise[30:94], "", "", policies, (), (), (), noise[50:114]
    )
    assert len(write_token(SECRET, claims)) <= LONGEST_TOKEN


def test_what_is_secret_is_not_shown() -> None:
    claims = Claims("1" * 12, "ASIAX", "the secret key", 1.0, 2.0, role_arn="arn", session_name="work")
    assert "the secret key" not in repr(claims)


def test_a_sessions_tags_stand_above_its_roles() -> None:
    assert merged((("Team", "edge"), ("stage", "test")), (("team", "core"),)) == (("stage", "test"), ("team", "core"))
    assert packed_size(None, (), ()) == 0


async def test_a_users_session_is_worth_nothing_once_its_key_is_somebody_elses() -> None:
    store = memory_store(KINDS)
    owner = Principal("1" * 12, f"arn:aws:iam::{'1' * 12}:user/ann", "AIDAANN", "AKIAX")
    owners = {"AKIAX": Credentials(Secret("secret"), owner)}
    sessions = Sessions(store, SECRET, owners.get)
    token = write_token(SECRET, Claims("1" * 12, "ASIAX", "k", 1.0, 2.0, begun_with="AKIAX", user_id="AIDAANN"))
    found = sessions.credentials(token)
    assert found is not None and (found.principal.arn, found.principal.access_key_id) == (owner.arn, "ASIAX")
    for other in (replace(owner, user_id="AIDABOB"), replace(owner, account_id="2" * 12)):
        owners["AKIAX"] = Credentials(Secret("secret"), other)
        assert sessions.credentials(token) is None
    await store.close()
