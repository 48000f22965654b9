"""Secrets of containers: which is asked for, what becomes of it, and what is said when it cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from longshore.agent import messages
from longshore.agent.api import CallRefused, PlatformUnreachable
from longshore.agent.secrets import CannotFetch, fetch, registry_login

ROLE = messages.RoleCredentials(credentials_id="c", access_key_id="ASIA")
ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:login-abcdef"


class Stores:
    """What the platform has; `refusal` is what it answers instead."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.asked: list[tuple[Any, ...]] = []

    async def secret_value(self, role: messages.RoleCredentials, secret_id: str, *, stage: str, version: str, region: str) -> str:
        self.asked.append((secret_id, stage, version, region))
        if self.refusal is not None:
            raise self.refusal
        return {ARN: '{"password": "hush", "port": 5432, "none": null}'}.get(secret_id, "plain")

    async def parameters(self, role: messages.RoleCredentials, names: Sequence[str], *, region: str) -> dict[str, str]:
        self.asked.append((*names, region))
        if self.refusal is not None:
            raise self.refusal
        return {name: f"value of {name}" for name in names if "missing" not in name}


def secret(value_from: str, *, name: str = "S", provider: Any = "asm", **more: Any) -> messages.Secret:
    return messages.Secret(name=name, value_from=value_from, region="us-east-1", provider=provider, **more)


@pytest.mark.parametrize(
    ("value_from", "asked", "value"),
    [
        (ARN, (ARN, "", "", "us-east-1"), '{"password": "hush", "port": 5432, "none": null}'),
        (f"{ARN}:password::", (ARN, "", "", "us-east-1"), "hush"),
        (f"{ARN}:port::", (ARN, "", "", "us-east-1"), "5432"),
        (f"{ARN}:password:AWSPREVIOUS:", (ARN, "AWSPREVIOUS", "", "us-east-1"), "hush"),
        (f"{ARN}:::v-1", (ARN, "", "v-1", "us-east-1"), '{"password": "hush", "port": 5432, "none": null}'),
    ],
)
async def test_an_arn_says_which_key_stage_and_version(value_from: str, asked: tuple[str, ...], value: str) -> None:
    stores = Stores()
    found = await fetch(stores, [secret(value_from)], ROLE)
    assert (stores.asked, found.environment) == ([asked], {"S": value})


async def test_a_secret_with_several_keys_is_fetched_once() -> None:
    stores = Stores()
    found = await fetch(stores, [secret(f"{ARN}:password::", name="A"), secret(f"{ARN}:port::", name="B"), secret(ARN, name="C")], ROLE)
    assert (stores.asked, found.environment["A"], found.environment["B"]) == ([(ARN, "", "", "us-east-1")], "hush", "5432")


async def test_parameters_are_asked_for_together_and_ten_at_a_time() -> None:
    stores = Stores()
    wanted = [secret(f"/p/{number}", name=f"P{number}", provider="ssm") for number in range(12)]
    found = await fetch(stores, wanted, ROLE)
    assert [len(asked) - 1 for asked in stores.asked] == [10, 2]
    assert found.environment["P11"] == "value of /p/11"


async def test_options_of_a_log_driver_are_kept_apart() -> None:
    found = await fetch(Stores(), [secret("/token", name="splunk-token", provider="ssm", target="LOG_DRIVER")], ROLE)
    assert (found.environment, found.log_options) == ({}, {"splunk-token": "value of /token"})
    assert "value" not in repr(found), "it may stand in a log"


@pytest.mark.parametrize(
    ("wanted", "refusal", "words"),
    [
        (secret(f"{ARN}:user::"), None, "did not contain json key user"),
        (secret(f"{ARN}:none::"), None, "did not contain json key none"),
        (secret("arn:aws:secretsmanager:us-east-1:000000000000:secret:plain-abcdef:key::"), None, "the secret is no JSON object"),
        (secret("/missing", provider="ssm"), None, "invalid ssm parameters: /missing"),
        (secret(ARN), CallRefused("GetSecretValue", "ResourceNotFoundException", "gone", 400), "ResourceNotFoundException: gone"),
        (secret("/p", provider="ssm"), CallRefused("GetParameters", "AccessDeniedException", "no", 400), "ssm: AccessDeniedException: no"),
    ],
)
async def test_what_cannot_be_had_is_named(wanted: messages.Secret, refusal: Exception | None, words: str) -> None:
    with pytest.raises(CannotFetch) as caught:
        await fetch(Stores(refusal), [wanted], ROLE)
    assert caught.value.reason.startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
    assert words in caught.value.reason and "hush" not in caught.value.reason


@pytest.mark.parametrize("provider", ["asm", "ssm"])
async def test_what_may_pass_is_worth_another_try(provider: str) -> None:
    for refusal in (PlatformUnreachable("away"), CallRefused("x", "ThrottlingException", "slow down", 400)):
        with pytest.raises(PlatformUnreachable):
            await fetch(Stores(refusal), [secret(ARN, provider=provider)], ROLE)


async def test_a_private_registry_is_logged_in_to_with_what_a_secret_says() -> None:
    class Held(Stores):
        async def secret_value(self, *_: Any, **__: Any) -> str:
            return '{"username": "bob", "password": "hush"}'

    found = await registry_login(Held(), "registry.example:5000/team/app:1", messages.AsmAuth(credentials_parameter=ARN), ROLE)
    assert (found.username, found.password, found.server) == ("bob", "hush", "registry.example:5000")
    with pytest.raises(CannotFetch, match="is not of the form"):
        await registry_login(Stores(), "registry.example/app", messages.AsmAuth(credentials_parameter="other"), ROLE)
