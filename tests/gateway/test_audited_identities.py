"""Who it was, in records: the forms of userIdentity that CloudTrail's documentation shows."""

from __future__ import annotations

from typing import Any

from longshore.gateway.app import Gateway
from longshore.gateway.attempt import Attempt
from longshore.gateway.auditing.identity import identity_of
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.ids import RandomIds
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Principal, Site
from longshore.services.iam.federation import OPEN_ID_PROVIDERS, OpenIdProvider
from longshore.services.sts.web_identity.issuers import Issuers
from longshore.store.memory_blobs import MemoryBlobStore
from tests.gateway.place import furnished, trust
from tests.services.sts.idp import Provider
from tests.sweeps.installation import OWNER, REGION, SIGNING_KEY, SIGNING_SECRET

#: with a port, as an issuer of one's own has it
HOST = "127.0.0.1:8443/realm"
PROVIDER = f"arn:aws:iam::{OWNER}:oidc-provider/{HOST}"
ROLE = f"arn:aws:iam::{OWNER}:role/vouched"


class _Kept:
    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)


def _asked_by(attempt: Attempt) -> dict[str, Any]:
    assert attempt.call is not None
    return identity_of(attempt.call.principal)


async def test_whom_a_token_speaks_of_is_named_as_the_provider_names_them() -> None:
    async with furnished() as place:
        there, kept = place.there, _Kept()
        provider = Provider(f"http://{HOST}", SIGNING_KEY)
        site = Site(OWNER, REGION, (f"{REGION}a",), "http://127.0.0.1:4566", 4566)
        there.gateway = Gateway(
            store=there.store,
            blobs=MemoryBlobStore(),
            clock=there.clock,
            ids=RandomIds(),
            site=site,
            identities=Identities(there.store, there.clock, site, SIGNING_SECRET),
            access=Access(there.store, there.clock, RESOURCE_SIDES),
            signing_secret=SIGNING_SECRET,
            issuers=Issuers(provider, there.clock),
            watcher=kept,
        )
        row = OpenIdProvider(OWNER, provider.url, there.clock.now(), ("https://longshore.example",))
        await there.store.transact(lambda tx: tx.put(OPEN_ID_PROVIDERS, row))
        written = trust({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity")
        await place.done("iam", "CreateRole", RoleName="vouched", AssumeRolePolicyDocument=written)
        token = provider.token(there.clock.now(), sub="repo:ours/app:ref:main", aud="https://longshore.example")
        asked = {"RoleArn": ROLE, "RoleSessionName": "visit", "WebIdentityToken": token}
        answer = await there.ask("sts", "AssumeRoleWithWebIdentity", asked, None)
        assert answer.status == 200, answer.message
    assert _asked_by(kept.attempts[-1]) == {
        "type": "WebIdentityUser",
        "principalId": f"{PROVIDER}:https://longshore.example:repo:ours/app:ref:main",
        "userName": "repo:ours/app:ref:main",
        "identityProvider": PROVIDER,
    }


def test_who_is_known_by_signature_is_named_by_it() -> None:
    user = Principal(OWNER, f"arn:aws:iam::{OWNER}:user/teams/ann", "AIDAANN", "AKIAANN")
    assert (identity_of(user)["type"], identity_of(user)["userName"]) == ("IAMUser", "ann")
