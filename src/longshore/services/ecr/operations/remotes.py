"""Remote registries: destinations of replication outside of this installation. AWS has no such thing; docs/extensions.md describes it."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.kit.sealing import seal as sealed
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException, LimitExceededException
from longshore.services.ecr.remote.addresses import AddressRefused, place_of
from longshore.services.ecr.replication import shapes
from longshore.services.ecr.replication.model import (
    REMOTE_PASSWORDS,
    REMOTE_REGISTRIES,
    REPLICATION_SETTINGS,
    Destination,
    RemoteRegistry,
    remote_key,
)
from longshore.store.base import Reader, Tx

#: that one registry may name: more than the destinations a replication configuration can have
MOST_REMOTES = 50
_PAGE = 100


def _invalid(member: str, constraint: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'")


@api.operation("LongshorePutRemoteRegistry", resource=ANY_RESOURCE, shape=shapes.PUT)
async def put_remote_registry(call: Call, request: shapes.PutRemoteRegistryRequest) -> shapes.PutRemoteRegistryResponse:
    """Names a registry, or gives a named one another address and other credentials."""
    try:
        place_of(request.url)
    except AddressRefused as refused:
        raise _invalid("url", str(refused)) from refused
    authentication = request.authentication or "BASIC"
    if bool(request.user_name) != bool(request.password):
        raise _invalid("password", "userName and password go together")
    if authentication == "AWS" and not request.user_name:
        raise _invalid("userName", "an access key id and a secret access key are needed")
    now = call.clock.now()
    secret = sealed(call.secret_for_signing, REMOTE_PASSWORDS, (request.password or "").encode()) if request.password else b""
    remote = RemoteRegistry(
        region=call.region,
        account_id=call.account_id,
        name=request.name,
        url=request.url,
        created_at=now,
        authentication=authentication,
        user=request.user_name or "",
        password=secret,
    )

    def put(tx: Tx) -> None:
        known = tx.get(REMOTE_REGISTRIES, remote.key) is not None
        if not known and tx.count(REMOTE_REGISTRIES, "scope", f"{remote.region}:{remote.account_id}") >= MOST_REMOTES:
            raise LimitExceededException(f"A registry may name at most {MOST_REMOTES} remote registries.")
        tx.put(REMOTE_REGISTRIES, remote)

    await call.store.transact(put)
    return shapes.PutRemoteRegistryResponse(remote_registry=_detail(remote))


def _detail(held: RemoteRegistry) -> shapes.RemoteRegistryDetail:
    """Without the password: nothing ever shows it again."""
    return shapes.RemoteRegistryDetail(
        name=held.name,
        url=held.url,
        authentication=held.authentication if held.user else None,
        user_name=held.user or None,
        created_at=held.created_at,
    )


def _find(reader: Reader, region: str, account_id: str, name: str) -> RemoteRegistry:
    held = reader.get(REMOTE_REGISTRIES, remote_key(region, account_id, name))
    if held is None:
        raise _invalid("name", f"there is no remote registry '{name}'")
    return held


@api.operation("LongshoreDescribeRemoteRegistries", resource=ANY_RESOURCE, shape=shapes.DESCRIBE)
async def describe_remote_registries(
    call: Call, request: shapes.DescribeRemoteRegistriesRequest
) -> shapes.DescribeRemoteRegistriesResponse:
    scope = f"{call.region}:{call.account_id}"
    question = ("LongshoreDescribeRemoteRegistries", scope)
    found, after = page(
        lambda after, limit: call.store.list(REMOTE_REGISTRIES, "scope", scope, after=after, limit=limit),
        lambda each: each.key,
        after=unseal(call.secret_for_signing, question, request.next_token, _invalid("nextToken", "Invalid token")),
        limit=request.max_results or _PAGE,
    )
    return shapes.DescribeRemoteRegistriesResponse(
        remote_registries=tuple(_detail(each) for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


@api.operation("LongshoreCheckRemoteRegistry", resource=ANY_RESOURCE, shape=shapes.CHECK)
async def check_remote_registry(call: Call, request: shapes.CheckRemoteRegistryRequest) -> shapes.CheckRemoteRegistryResponse:
    """Asks the registry whether it answers, and takes the credentials."""
    remote = _find(call.store, call.region, call.account_id, request.name)
    failure = await call.pull_through.trouble_with_remote(remote) if call.pull_through is not None else "It cannot be reached."
    return shapes.CheckRemoteRegistryResponse(is_valid=failure is None, failure=failure)


@api.operation("LongshoreDeleteRemoteRegistry", resource=ANY_RESOURCE, shape=shapes.DELETE)
async def delete_remote_registry(call: Call, request: shapes.DeleteRemoteRegistryRequest) -> shapes.DeleteRemoteRegistryResponse:
    """Refused while a replication rule sends images there."""

    def delete(tx: Tx) -> RemoteRegistry:
        held = _find(tx, call.region, call.account_id, request.name)
        destination = Destination(held.name, call.account_id)
        settings = tx.get(REPLICATION_SETTINGS, f"{call.region}:{call.account_id}")
        if settings is not None and any(destination in rule.destinations for rule in settings.rules):
            raise _invalid("name", f"the replication configuration names the remote registry '{held.name}'")
        tx.delete(REMOTE_REGISTRIES, held.key)
        return held

    return shapes.DeleteRemoteRegistryResponse(remote_registry=_detail(await call.store.transact(delete)))
