"""Issuers of identity tokens that an account trusts: who signs in with one of them may take on the roles that name it."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind
from longshore.services.iam.model import Tag


class OpenIdProvider(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    #: https://HOST[/PATH], as the tokens' `iss` has it
    url: str
    created_at: float
    #: audiences: a token's `aud` (or `azp`) must be one of them
    client_ids: tuple[str, ...] = ()
    #: SHA-1 of certificates, in lower-case hexadecimal
    thumbprints: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()

    @property
    def host_and_path(self) -> str:
        """The URL without its scheme: the last part of the ARN, and what the condition keys of its tokens begin with."""
        return self.url.partition("://")[2]

    @property
    def arn(self) -> str:
        return provider_arn(self.account_id, self.host_and_path)


def provider_arn(account_id: str, host_and_path: str) -> str:
    return f"arn:aws:iam::{account_id}:oidc-provider/{host_and_path}"


OPEN_ID_PROVIDERS: Kind[OpenIdProvider] = Kind(
    name="iam.open_id_provider",
    type=OpenIdProvider,
    key=lambda provider: provider.arn,
    indexes={"account": lambda provider: (provider.account_id,)},
)

KINDS: tuple[Kind[Any], ...] = (OPEN_ID_PROVIDERS,)
