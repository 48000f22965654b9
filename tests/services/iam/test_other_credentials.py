"""Credentials that users have at AWS and not here: listed, truly, and refused where they would be made."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from tests.services.iam.wire import Account

LISTS = {
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListSigningCertificates": "Certificates",
    "ListServiceSpecificCredentials": "ServiceSpecificCredentials",
}


async def refused(account: Account, operation: str, **parameters: Any) -> str:
    with pytest.raises(AwsError) as raised:
        await account.ask(operation, **parameters)
    return raised.value.wire("query")[0]


@pytest.mark.parametrize("operation", LISTS)
async def test_who_looks_before_a_user_is_deleted_finds_nothing_in_the_way(operation: str) -> None:
    account = Account()
    user = (await account.ask("CreateUser", UserName="ann"))["User"]
    found = await account.ask(operation, UserName="ann")
    assert (found[LISTS[operation]], found["IsTruncated"]) == ([], False)
    assert account.resources(operation, UserName="ann") == [user["Arn"]]
    assert (await account.as_user(user).ask(operation))[LISTS[operation]] == []
    assert await refused(account, operation, UserName="bob") == "NoSuchEntity"
    assert await refused(account, operation, UserName="ann", Marker="x") == "ValidationError"


async def test_no_identity_provider_of_saml_is_known() -> None:
    assert (await Account().ask("ListSAMLProviders"))["SAMLProviderList"] == []


async def test_services_that_have_no_credentials_of_their_own_are_told_apart() -> None:
    account = Account()
    asked = "ListServiceSpecificCredentials"
    assert (await account.ask(asked, ServiceName="codecommit.amazonaws.com", AllUsers=True))["ServiceSpecificCredentials"] == []
    assert await refused(account, asked, ServiceName="ecs.amazonaws.com") == "NotSupportedService"
    assert await refused(account, asked, UserName="ann", AllUsers=True) == "ValidationError"
