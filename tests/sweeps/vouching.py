"""An identity provider that the swept account trusts, a role for whom it vouches for, and sessions that were ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from longshore.services.iam.federation import OPEN_ID_PROVIDERS, OpenIdProvider
from tests.services.sts.idp import CLIENT, ISSUER

if TYPE_CHECKING:
    from tests.sweeps.installation import Installation

#: operations that nobody signs for: a token says who asks, whoever sends it
BY_TOKEN = {("sts", "AssumeRoleWithWebIdentity")}


async def vouch(there: Installation, names: dict[str, str], account: str) -> None:
    provider = OpenIdProvider(account, ISSUER, there.clock.now(), (CLIENT,))
    await there.store.transact(lambda tx: tx.put(OPEN_ID_PROVIDERS, provider))
    names["vouching_provider"] = provider.arn
    trusted = {"Effect": "Allow", "Principal": {"Federated": provider.arn}, "Action": "sts:AssumeRoleWithWebIdentity"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    made = await there.done("iam", "CreateRole", RoleName="vouched", AssumeRolePolicyDocument=document)
    names["vouched_role"] = made["Role"]["Arn"]
    # a day and more, since tests step the clock
    names["identity_token"] = there.provider.token(there.clock.now(), exp=int(there.clock.now()) + 2 * 86_400)
    await there.done("sts", "LongshoreRevokeSessions", RoleName="idle", IssuedBefore=1)


def vouching_more(names: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        ("sts", "AssumeRoleWithWebIdentity"): {"RoleArn": names["vouched_role"], "WebIdentityToken": names["identity_token"]},
        ("sts", "GetFederationToken"): {"Name": "guest", "Tags": [{"Key": "a", "Value": "b"}]},
        ("sts", "LongshoreRevokeSessions"): {"RoleName": "idle"},
    }
