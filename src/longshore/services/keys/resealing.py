"""Everything that lies in the store sealed inside of a resource, and how each is sealed anew with the current generation.

Rows of kinds that are sealed whole are the store's own affair (`Store.reseal`). What no generation opens any more is left as it is:
whoever needs it is told so, as before.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as elbv2_shapes
from longshore.kit.data_keys import lock_of, sealed_to_newest
from longshore.kit.resource import Kind
from longshore.kit.sealing import Keys, SealBroken, resealed
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.services.acm.model import PURPOSE as CERTIFICATE_KEYS
from longshore.services.ecr.encryption.model import ENCRYPTION, Encryption
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.replication.model import REMOTE_PASSWORDS, REMOTE_REGISTRIES, RemoteRegistry
from longshore.services.elbv2.client_secrets import PURPOSE as CLIENT_SECRETS
from longshore.services.elbv2.model import LISTENERS, RULES, Listener, Rule
from longshore.services.iam.model import SERVER_CERTIFICATES, ServerCertificate
from longshore.services.secretsmanager.model import PURPOSE as SECRET_VALUES
from longshore.services.secretsmanager.model import SECRETS, Secret
from longshore.services.ssm.model import PARAMETERS, SECURE, Parameter
from longshore.services.ssm.model import PURPOSE as PARAMETER_VALUES
from longshore.store.base import Tx


class Page(NamedTuple):
    """What became of some resources of one kind."""

    #: the last key looked at; None at the end
    after: str | None
    changed: int
    broken: int


def _certificate(kept: Certificate, keys: Keys) -> Certificate:
    return replace(kept, sealed_key=resealed(keys, CERTIFICATE_KEYS, kept.sealed_key))


def _server_certificate(kept: ServerCertificate, keys: Keys) -> ServerCertificate:
    return replace(kept, sealed_key=resealed(keys, CERTIFICATE_KEYS, kept.sealed_key))


def _secret(kept: Secret, keys: Keys) -> Secret:
    return replace(kept, versions=tuple(replace(one, value=resealed(keys, SECRET_VALUES, one.value)) for one in kept.versions))


def _parameter(kept: Parameter, keys: Keys) -> Parameter:
    versions = (replace(one, value=resealed(keys, PARAMETER_VALUES, one.value)) if one.type == SECURE else one for one in kept.versions)
    return replace(kept, versions=tuple(versions))


def _remote(kept: RemoteRegistry, keys: Keys) -> RemoteRegistry:
    return replace(kept, password=resealed(keys, REMOTE_PASSWORDS, kept.password))


def _repository(kept: Repository, keys: Keys) -> Repository:
    return kept if kept.data_key is None else replace(kept, data_key=sealed_to_newest(keys, kept.data_key))


def _encryption(kept: Encryption, keys: Keys) -> Encryption:
    return replace(kept, lock=lock_of(keys))


def _listener(kept: Listener, keys: Keys) -> Listener:
    return replace(kept, default_actions=_actions(kept.default_actions, keys))


def _rule(kept: Rule, keys: Keys) -> Rule:
    return replace(kept, actions=_actions(kept.actions, keys))


def _actions(actions: Iterable[elbv2_shapes.Action], keys: Keys) -> tuple[elbv2_shapes.Action, ...]:
    return tuple(_action(action, keys) for action in actions)


def _action(action: elbv2_shapes.Action, keys: Keys) -> elbv2_shapes.Action:
    config = action.authenticate_oidc_config
    if config is None or not config.client_secret:
        return action
    secret = b64encode(resealed(keys, CLIENT_SECRETS, b64decode(config.client_secret))).decode()
    return replace(action, authenticate_oidc_config=replace(config, client_secret=secret))


#: new repositories go by the first, so it comes before them
SEALED: tuple[tuple[Kind[Any], Callable[[Any, Keys], Any]], ...] = (
    (ENCRYPTION, _encryption),
    (REPOSITORIES, _repository),
    (CERTIFICATES, _certificate),
    (SERVER_CERTIFICATES, _server_certificate),
    (SECRETS, _secret),
    (PARAMETERS, _parameter),
    (REMOTE_REGISTRIES, _remote),
    (LISTENERS, _listener),
    (RULES, _rule),
)


def reseal_page(tx: Tx, kind: Kind[Any], anew: Callable[[Any, Keys], Any], keys: Keys, after: str | None, most: int) -> Page:
    """Looks at up to `most` resources of `kind` that follow the key `after`."""
    found = tx.list(kind, after=after, limit=most)
    changed = broken = 0
    for value in found:
        try:
            wanted = anew(value, keys)
        except (SealBroken, ValueError):
            broken += 1
            continue
        if wanted != value:
            tx.put(kind, wanted)
            changed += 1
    return Page(kind.key(found[-1]) if len(found) == most else None, changed, broken)
