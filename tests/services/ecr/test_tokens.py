"""GetAuthorizationToken, and what a password says."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.tokens import GOOD_FOR_S, Token, TokenInvalid, password, read_token
from tests.services.ecr.conftest import ACCOUNT, ALICE, Ecr

SECRET = b"s" * 32


async def test_the_token_is_a_user_and_a_password_for_docker_login(ecr: Ecr) -> None:
    (answer,) = (await ecr("GetAuthorizationToken"))["authorizationData"]
    user, _, given_password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert answer["proxyEndpoint"] == "http://127.0.0.1:4566"
    assert answer["expiresAt"].timestamp() == ecr.clock.now() + GOOD_FOR_S
    said = read_token(ecr.call.secret_for_signing, given_password)
    assert said == Token(ACCOUNT, ALICE.arn, ALICE.user_id, ALICE.access_key_id, ecr.clock.now() + GOOD_FOR_S, "", ecr.call.store.revision)
    assert said.made_with[0].at == ecr.clock.now()


async def test_a_token_is_given_per_registry_asked_for(ecr: Ecr) -> None:
    answer = await ecr("GetAuthorizationToken", registryIds=["000000000000", "111111111111"])
    assert len(answer["authorizationData"]) == 2


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("https://api.ecr.us-east-1.amazonaws.com", "https://111111111111.dkr.ecr.us-east-1.amazonaws.com"),
        ("https://api.ecr.cn-north-1.amazonaws.com.cn:443", "https://111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn:443"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("https://ecr.us-east-1.amazonaws.com", "http://127.0.0.1:4566"),
        ("https://api.ecr.us-east-1.amazonaws.com/evil", "http://127.0.0.1:4566"),
        ("https://api.ecr.us-east-1.evil com", "http://127.0.0.1:4566"),
        ("https://", "http://127.0.0.1:4566"),
    ],
)
async def test_who_asks_by_the_name_of_aws_is_told_to_log_in_by_the_name_of_aws(ecr: Ecr, asked: str, told: str) -> None:
    answer = await ecr.as_caller(replace(ecr.call, base_url=asked), "GetAuthorizationToken", registryIds=["111111111111"])
    assert [each["proxyEndpoint"] for each in answer["authorizationData"]] == [told]


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_byte_of_a_password_can_be_changed(at: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(password(SECRET, ALICE, 100.0) + "=="))
    raw[at % len(raw)] ^= change
    with pytest.raises(TokenInvalid):
        read_token(SECRET, base64.urlsafe_b64encode(bytes(raw)).decode())


@given(st.text())
def test_no_text_is_taken_for_a_password(text: str) -> None:
    with pytest.raises(TokenInvalid):
        read_token(SECRET, text)
