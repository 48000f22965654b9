"""Whose request it is: the signature checked against the key it names."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.aws.sigv4 import Secret, SignedRequest, verify
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.services.call import Principal, Site
from longshore.services.iam.identities import Credentials, find_credentials, root_principal
from longshore.store.base import Store

#: the keys that --dev mode accepts as the root of the default account, secret the same as the id
DEV_KEY = "test"


@dataclass(frozen=True, slots=True)
class Identified:
    principal: Principal
    #: region and service of the signature's credential scope
    region: str
    service: str


class Identities:
    """Looks keys up, the well-known ones of --dev mode among them."""

    def __init__(self, store: Store, clock: Clock, site: Site) -> None:
        self._store = store
        self._clock = clock
        self._dev = Credentials(Secret(DEV_KEY), root_principal(site.account_id, DEV_KEY)) if site.dev else None

    def credentials(self, access_key_id: str) -> Credentials | None:
        if self._dev is not None and access_key_id == DEV_KEY:
            return self._dev
        return find_credentials(self._store, access_key_id)

    def owner(self, access_key_id: str) -> Principal | None:
        """Whose key it is; None for keys that are unknown or inactive."""
        found = self.credentials(access_key_id)
        return found.principal if found else None

    def identify(self, request: ApiRequest) -> Identified:
        """Raises what sigv4.verify raises: a request without a good signature gets no further."""
        found: Credentials | None = None

        def look_up(access_key_id: str) -> Secret | None:
            nonlocal found
            found = self.credentials(access_key_id)
            return found.secret if found else None

        signed = SignedRequest(request.method, request.path, request.query, request.pairs, request.body)
        identity = verify(signed, look_up, self._clock.now())
        assert found is not None  # verify refuses keys that are not found
        return Identified(found.principal, identity.region, identity.service)
