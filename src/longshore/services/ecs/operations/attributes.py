"""Attributes that the owner of a container instance gives it, and the listing of all it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import AttributeLimitExceededException, InvalidParameterException, TargetNotFoundException
from longshore.services.ecs.listing import page_limit
from longshore.services.ecs.lookup import child_resources, cluster_arn, cluster_resource, find_cluster, find_container_instance
from longshore.services.ecs.model import CONTAINER_INSTANCES, Attribute, Cluster, ContainerInstance
from longshore.services.ecs.operations.container_instances import BUILT_IN, of_its_provider
from longshore.store.base import Tx

#: attributes of its owner's that one instance may have, and that one call may set
MOST_OWNED = 10
_NAME = re.compile(r"[A-Za-z0-9_./\\-]{1,128}")
_VALUE = re.compile(r"(?! )[A-Za-z0-9_./\\@: -]{0,128}(?<! )")


def _targets(call: Call, request: shapes.PutAttributesRequest | shapes.DeleteAttributesRequest) -> Iterable[str]:
    references = dict.fromkeys(attribute.target_id or "" for attribute in request.attributes)
    return child_resources(call, request.cluster, "container-instance", references)


def _cluster_condition(call: Call, request: shapes.PutAttributesRequest | shapes.DeleteAttributesRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("PutAttributes", resource=_targets, conditions=_cluster_condition)
async def put_attributes(call: Call, request: shapes.PutAttributesRequest) -> shapes.PutAttributesResponse:
    """All or nothing. Raises TargetNotFoundException, AttributeLimitExceededException, InvalidParameterException."""
    if not 1 <= len(request.attributes) <= MOST_OWNED:
        raise InvalidParameterException(f"Between 1 and {MOST_OWNED} attributes can be put at a time.")
    for attribute in request.attributes:
        _check(attribute)

    def put(tx: Tx) -> list[shapes.Attribute]:
        cluster = find_cluster(tx, call, request.cluster)
        return [_put(tx, _target(tx, call, cluster, attribute), attribute) for attribute in request.attributes]

    return shapes.PutAttributesResponse(attributes=tuple(await call.store.transact(put)))


def _check(attribute: shapes.Attribute) -> None:
    if not _NAME.fullmatch(attribute.name):
        raise InvalidParameterException("Attribute names are 1 to 128 letters, numbers and any of _ - . / \\")
    if attribute.name.startswith(BUILT_IN):
        raise InvalidParameterException(f"The attribute {attribute.name} is set by ECS and cannot be changed.")
    if attribute.value is not None and not _VALUE.fullmatch(attribute.value):
        raise InvalidParameterException("Attribute values are up to 128 letters, numbers and any of _ - . / \\ @ : and inner spaces.")


def _target(tx: Tx, call: Call, cluster: Cluster, attribute: shapes.Attribute) -> ContainerInstance:
    found = find_container_instance(tx, call, cluster, attribute.target_id) if attribute.target_id else None
    if found is None:
        raise TargetNotFoundException
    return found


def _put(tx: Tx, instance: ContainerInstance, attribute: shapes.Attribute) -> shapes.Attribute:
    kept = tuple(one for one in instance.attributes if one.name != attribute.name)
    if sum(1 for one in kept if not one.name.startswith(BUILT_IN)) >= MOST_OWNED:
        raise AttributeLimitExceededException
    given = Attribute(attribute.name, attribute.value or "")
    tx.put(CONTAINER_INSTANCES, of_its_provider(replace(instance, attributes=(*kept, given))))
    return shapes.Attribute(name=attribute.name, value=attribute.value, target_type="container-instance", target_id=instance.arn)


@api.operation("DeleteAttributes", resource=_targets, conditions=_cluster_condition)
async def delete_attributes(call: Call, request: shapes.DeleteAttributesRequest) -> shapes.DeleteAttributesResponse:
    """Attributes are named by their name, and by their value where one is given."""
    for attribute in request.attributes:
        _check(attribute)

    def delete(tx: Tx) -> list[shapes.Attribute]:
        cluster = find_cluster(tx, call, request.cluster)
        deleted: list[shapes.Attribute] = []
        for attribute in request.attributes:
            instance = _target(tx, call, cluster, attribute)
            gone = [one for one in instance.attributes if one.name == attribute.name and attribute.value in (None, one.value)]
            if gone:
                left = tuple(one for one in instance.attributes if one not in gone)
                tx.put(CONTAINER_INSTANCES, of_its_provider(replace(instance, attributes=left)))
                deleted += [_shown(Owned(instance.arn, one)) for one in gone]
        return deleted

    return shapes.DeleteAttributesResponse(attributes=tuple(await call.store.transact(delete)))


class Owned(NamedTuple):
    instance_arn: str
    attribute: Attribute

    @property
    def key(self) -> str:
        return f"{self.instance_arn}|{self.attribute.name}"


@api.operation("ListAttributes", resource=cluster_resource)
async def list_attributes(call: Call, request: shapes.ListAttributesRequest) -> shapes.ListAttributesResponse:
    cluster = find_cluster(call.store, call, request.cluster)
    question = ("attributes", cluster.arn, request.attribute_name, request.attribute_value)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("Invalid token."))
    everything = sorted(
        (
            Owned(instance.arn, attribute)
            for instance in call.store.list(CONTAINER_INSTANCES, "cluster", cluster.arn)
            for attribute in instance.attributes
            if request.attribute_name in (None, attribute.name) and request.attribute_value in (None, attribute.value)
        ),
        key=lambda owned: owned.key,
    )
    found, last = page(
        lambda start, limit: [owned for owned in everything if start is None or owned.key > start][:limit],
        lambda owned: owned.key,
        after=after,
        limit=page_limit(request.max_results),
    )
    token = seal(call.secret_for_signing, question, last) if last is not None else None
    return shapes.ListAttributesResponse(attributes=tuple(_shown(owned) for owned in found), next_token=token)


def _shown(owned: Owned) -> shapes.Attribute:
    name, value = owned.attribute.name, owned.attribute.value
    return shapes.Attribute(name=name, value=value or None, target_type="container-instance", target_id=owned.instance_arn)
