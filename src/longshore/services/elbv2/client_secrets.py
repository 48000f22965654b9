"""Secrets that load balancers have with identity providers: sealed where they are kept, shown to nobody."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.kit.sealing import Keys, SealBroken, seal, unseal
from longshore.services.elbv2.errors import InvalidLoadBalancerAction

PURPOSE = "oidc-client-secret"


def sealed_actions(actions: Iterable[shapes.Action], before: Iterable[shapes.Action], secret: Keys) -> tuple[shapes.Action, ...]:
    """What is kept of checked `actions`. `before` are those they take the place of: they have the secret that
    UseExistingClientSecret means. A secret that has not changed keeps its seal, so that what was asked twice is the same twice.
    Raises InvalidLoadBalancerAction where there is no such secret.
    """
    kept = [action.authenticate_oidc_config for action in before if action.authenticate_oidc_config is not None]
    return tuple(_sealed(action, kept, secret) for action in actions)


def _sealed(action: shapes.Action, kept: list[shapes.AuthenticateOidcActionConfig], secret: Keys) -> shapes.Action:
    config = action.authenticate_oidc_config
    if config is None:
        return action
    if config.use_existing_client_secret:
        known = next((one.client_secret for one in kept if one.client_id == config.client_id), None)
        if known is None:
            raise InvalidLoadBalancerAction("There is no existing client secret for this client: a ClientSecret must be specified")
        sealed = known
    else:
        wanted = config.client_secret or ""
        same = (one.client_secret for one in kept if one.client_secret and _opens_to(one.client_secret, wanted, secret))
        sealed = next(same, None) or b64encode(seal(secret, PURPOSE, wanted.encode())).decode()
    return replace(action, authenticate_oidc_config=replace(config, client_secret=sealed, use_existing_client_secret=None))


def _opens_to(sealed: str, wanted: str, secret: Keys) -> bool:
    try:
        return opened(sealed, secret) == wanted
    except SealBroken:
        return False


def opened(sealed: str, secret: Keys) -> str:
    """The secret itself. Raises SealBroken."""
    return unseal(secret, PURPOSE, b64decode(sealed)).decode()


def shown(actions: Iterable[shapes.Action]) -> tuple[shapes.Action, ...]:
    """Actions as they are described: without secrets."""
    return tuple(
        replace(action, authenticate_oidc_config=replace(action.authenticate_oidc_config, client_secret=None))
        if action.authenticate_oidc_config is not None
        else action
        for action in actions
    )
