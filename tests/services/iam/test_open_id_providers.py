"""OpenID Connect providers: what is taken for one, its audiences and thumbprints, and its limits."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.services.iam.federation import OPEN_ID_PROVIDERS
from tests.services.iam.wire import ACCOUNT, Account

ISSUER = "https://id.example/people"
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example/people"
PRINT = "0123456789ABCDEF0123456789abcdef01234567"


@pytest.fixture
async def account() -> Account:
    return Account()


async def make(account: Account, url: str = ISSUER, **more: Any) -> str:
    return str((await account.ask("CreateOpenIDConnectProvider", Url=url, **more))["OpenIDConnectProviderArn"])


async def refused(account: Account, operation: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(AwsError) as raised:
        await account.ask(operation, **parameters)
    return raised.value.wire("query")


async def test_a_provider_is_made_shown_changed_and_deleted(account: Account) -> None:
    assert await make(account, ClientIDList=["web", "web"], ThumbprintList=[PRINT], Tags=[{"Key": "a", "Value": "1"}]) == ARN
    named = {"OpenIDConnectProviderArn": ARN}
    shown = await account.ask("GetOpenIDConnectProvider", **named)
    assert (shown["Url"], shown["ClientIDList"], shown["ThumbprintList"]) == ("id.example/people", ["web"], [PRINT.lower()])
    assert account.resources("CreateOpenIDConnectProvider", Url=ISSUER) == [ARN]
    for _ in range(2):
        await account.ask("AddClientIDToOpenIDConnectProvider", **named, ClientID="app")
        await account.ask("RemoveClientIDFromOpenIDConnectProvider", **named, ClientID="web")
    await account.ask("UpdateOpenIDConnectProviderThumbprint", **named, ThumbprintList=[])
    await account.ask("TagOpenIDConnectProvider", **named, Tags=[{"Key": "b", "Value": "2"}])
    await account.ask("UntagOpenIDConnectProvider", **named, TagKeys=["a"])
    assert (await account.ask("ListOpenIDConnectProviderTags", **named))["Tags"] == [{"Key": "b", "Value": "2"}]
    kept = account.store.get(OPEN_ID_PROVIDERS, ARN)
    assert kept is not None and (kept.client_ids, kept.thumbprints) == (("app",), ())
    assert (await account.ask("ListOpenIDConnectProviders"))["OpenIDConnectProviderList"] == [{"Arn": ARN}]
    assert (await account.ask("GetAccountSummary"))["SummaryMap"]["Providers"] == 1
    for _ in range(2):
        await account.ask("DeleteOpenIDConnectProvider", **named)
    assert await refused(account, "GetOpenIDConnectProvider", **named) == ("NoSuchEntity", 404)


@pytest.mark.parametrize(
    "url",
    [
        *("http://id.example", "id.example", "https://", "https:///people", "https://id.example/?a=b", "https://id.example/#a"),
        *("https://user@id.example", "https://id.example:99999", "https://id example", "https://id.example/a b", "https://[::1]/a"),
        *("https://id.example//people", "https://-id.example", "https://id.example\n"),
    ],
)
async def test_what_is_no_issuer_is_refused(account: Account, url: str) -> None:
    assert await refused(account, "CreateOpenIDConnectProvider", Url=url) == ("ValidationError", 400)


@pytest.mark.parametrize(
    "url",
    ["https://id.example", "https://id.example/", "https://127.0.0.1:8443/realms/a-b_c~d", "http://127.0.0.1:8080", "http://localhost/x"],
)
async def test_what_is_an_issuer_is_taken_as_its_tokens_name_it(account: Account, url: str) -> None:
    assert (await make(account, url)).endswith(f":oidc-provider/{url.partition('://')[2]}")


async def test_limits_are_those_of_aws(account: Account) -> None:
    await make(account, ClientIDList=[f"c{number}" for number in range(100)])
    named = {"OpenIDConnectProviderArn": ARN}
    assert await refused(account, "CreateOpenIDConnectProvider", Url=ISSUER) == ("EntityAlreadyExists", 409)
    assert await refused(account, "AddClientIDToOpenIDConnectProvider", **named, ClientID="more") == ("LimitExceeded", 409)
    six = [f"{number:040x}" for number in range(6)]
    assert await refused(account, "UpdateOpenIDConnectProviderThumbprint", **named, ThumbprintList=six) == ("InvalidInput", 400)
    assert await refused(account, "UpdateOpenIDConnectProviderThumbprint", **named, ThumbprintList=["g" * 40]) == ("InvalidInput", 400)
    for number in range(99):
        await make(account, f"{ISSUER}/{number}")
    assert await refused(account, "CreateOpenIDConnectProvider", Url="https://other.example") == ("LimitExceeded", 409)


async def test_nobody_elses_provider_is_found_and_no_other_arn_is_one(account: Account) -> None:
    await make(account)
    other = Account(account.store, "111111111111")
    assert await refused(other, "GetOpenIDConnectProvider", OpenIDConnectProviderArn=ARN) == ("NoSuchEntity", 404)
    await other.ask("DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=ARN)
    assert account.store.count(OPEN_ID_PROVIDERS) == 1
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    assert await refused(account, "GetOpenIDConnectProvider", OpenIDConnectProviderArn=role) == ("InvalidInput", 400)
