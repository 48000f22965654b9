"""Replication: where a registry's images go, and how far each of them came."""

from __future__ import annotations

from collections.abc import Collection

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ec2.regions import AWS_REGIONS
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import ImageNotFoundException, InvalidParameterException
from longshore.services.ecr.images import Unfound, find_image, find_repository
from longshore.services.ecr.model import image_key
from longshore.services.ecr.names import described
from longshore.services.ecr.replication.destinations import remote_of
from longshore.services.ecr.replication.model import (
    REPLICATION_SETTINGS,
    REPLICATIONS,
    Destination,
    ReplicationRule,
    ReplicationSettings,
)
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.store.base import Reader, Tx

#: ECR's quotas for one registry
MOST_RULES, MOST_DESTINATIONS = 10, 25


def _invalid(constraint: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid parameter at 'replicationConfiguration' failed to satisfy constraint: '{constraint}'")


@api.operation("PutReplicationConfiguration", resource=ANY_RESOURCE)
async def put_replication_configuration(
    call: Call, request: shapes.PutReplicationConfigurationRequest
) -> shapes.PutReplicationConfigurationResponse:
    """Says where to what is pushed from now on goes. Without rules, nothing goes anywhere any more."""
    settings = ReplicationSettings(call.region, call.account_id, tuple(_rule(each) for each in request.replication_configuration.rules))

    def put(tx: Tx) -> None:
        _check(tx, settings, (call.site.region, *AWS_REGIONS))
        if settings.rules:
            tx.put(REPLICATION_SETTINGS, settings)
        else:
            tx.delete(REPLICATION_SETTINGS, settings.key)

    await call.store.transact(put)
    return shapes.PutReplicationConfigurationResponse(replication_configuration=configuration(settings))


def _rule(asked: shapes.ReplicationRule) -> ReplicationRule:
    return ReplicationRule(
        destinations=tuple(Destination(each.region, each.registry_id) for each in asked.destinations),
        prefixes=tuple(each.filter for each in asked.repository_filters or ()),
        delete_replication=asked.delete_replication.enabled if asked.delete_replication else None,
    )


def _check(reader: Reader, settings: ReplicationSettings, regions: Collection[str]) -> None:
    """`regions` are those there can be. Raises InvalidParameterException."""
    if len(settings.rules) > MOST_RULES:
        raise _invalid(f"a replication configuration can contain a maximum of {MOST_RULES} rules")
    everywhere = {destination for rule in settings.rules for destination in rule.destinations}
    if len(everywhere) > MOST_DESTINATIONS:
        raise _invalid(f"a replication configuration can contain a maximum of {MOST_DESTINATIONS} unique destinations")
    for rule in settings.rules:
        if not rule.destinations:
            raise _invalid("a replication rule must contain at least one destination")
        if len(set(rule.destinations)) < len(rule.destinations):
            raise _invalid("the destinations of a replication rule must be unique")
        for destination in rule.destinations:
            if destination.key == settings.key:
                raise _invalid("the source registry cannot be a replication destination")
            if remote_of(reader, settings, destination) is None and destination.region not in regions:
                raise _invalid(f"the destination region '{destination.region}' is neither a region nor a remote registry")


def configuration(settings: ReplicationSettings) -> shapes.ReplicationConfiguration:
    return shapes.ReplicationConfiguration(
        rules=tuple(
            shapes.ReplicationRule(
                destinations=tuple(destination(each) for each in rule.destinations),
                repository_filters=tuple(shapes.RepositoryFilter(filter=each, filter_type="PREFIX_MATCH") for each in rule.prefixes)
                or None,
                delete_replication=shapes.DeleteReplication(enabled=rule.delete_replication)
                if rule.delete_replication is not None
                else None,
            )
            for rule in settings.rules
        )
    )


def destination(held: Destination) -> shapes.ReplicationDestination:
    return shapes.ReplicationDestination(region=held.region, registry_id=held.account_id)


@api.operation("DescribeRegistry", resource=ANY_RESOURCE)
async def describe_registry(call: Call, request: shapes.DescribeRegistryRequest) -> shapes.DescribeRegistryResponse:
    empty = ReplicationSettings(call.region, call.account_id, ())
    settings = call.store.get(REPLICATION_SETTINGS, empty.key) or empty
    return shapes.DescribeRegistryResponse(registry_id=call.account_id, replication_configuration=configuration(settings))


@api.operation("DescribeImageReplicationStatus", resource=repository_resource, conditions=tag_conditions)
async def describe_image_replication_status(
    call: Call, request: shapes.DescribeImageReplicationStatusRequest
) -> shapes.DescribeImageReplicationStatusResponse:
    repository = find_repository(call.store, repository_of(call, request))
    asked = request.image_id
    try:
        image = find_image(call.store, repository.key, asked.image_digest, asked.image_tag)
    except Unfound as unfound:
        if unfound.code in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
            meant = described(asked.image_digest, asked.image_tag)
            raise ImageNotFoundException(meant, repository.name, repository.account_id) from None
        raise InvalidParameterException(unfound.reason) from None
    held = call.store.list(REPLICATIONS, "image", image_key(repository.key, image.digest))
    return shapes.DescribeImageReplicationStatusResponse(
        repository_name=repository.name,
        image_id=shapes.ImageIdentifier(image_digest=image.digest, image_tag=asked.image_tag),
        replication_statuses=tuple(
            shapes.ImageReplicationStatus(
                region=each.destination.region,
                registry_id=each.destination.account_id,
                status=each.status,
                failure_code=each.failure_code or None,
            )
            for each in held
        ),
    )
