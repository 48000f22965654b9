"""What policies may ask about EC2's requests and resources, by AWS's keys.

Of every request: ec2:Region; of one that brings tags: aws:RequestTag/KEY, aws:TagKeys and, where it creates something with them,
ec2:CreateAction. Of what an ARN names: its tags (aws:ResourceTag/KEY and ec2:ResourceTag/KEY), its id, its VPC and its zone. Whoever
creates something with tags needs the right to CreateTags, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.model import INSTANCE_TAGS, SECURITY_GROUPS, SUBNETS, VPCS, Tag
from longshore.services.ec2.resources import any_of
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.store.base import Reader

_Specifications = Iterable[shapes.TagSpecification] | None


def request_conditions(call: Call, name: str, request: object) -> dict[str, list[str]]:
    """Of the operation `name`."""
    found = {"ec2:region": [call.region]}
    tags: list[shapes.Tag] = list(getattr(request, "tags", None) or ())
    specifications: _Specifications = getattr(request, "tag_specifications", None)
    for specification in specifications or ():
        tags.extend(specification.tags or ())
        found["ec2:createaction"] = [name]
    for tag in tags:
        found[f"aws:requesttag/{(tag.key or '').lower()}"] = [tag.value or ""]
    if tags:
        found["aws:tagkeys"] = [tag.key or "" for tag in tags]
    return found


def tagging_rights(call: Call, request: object) -> list[tuple[str, str]]:
    """For what is created, which has no id yet."""
    specifications: _Specifications = getattr(request, "tag_specifications", None)
    types = dict.fromkeys(specification.resource_type or "*" for specification in specifications or () if specification.tags)
    return [("ec2:CreateTags", any_of(call, type)) for type in types]


def resource_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """Nothing for what is not there, or not where the ARN says."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "ec2":
        return {}
    place, id = (parsed.region, parsed.account_id), parsed.resource_id
    match parsed.resource_type:
        case "vpc":
            vpc = reader.get(VPCS, id)
            if vpc is not None and (vpc.region, vpc.account_id) == place:
                return _tags(vpc.tags) | {"ec2:vpcid": [id], "ec2:tenancy": [vpc.instance_tenancy]}
        case "subnet":
            subnet = reader.get(SUBNETS, id)
            if subnet is not None and (subnet.region, subnet.account_id) == place:
                zone = {"ec2:availabilityzone": [subnet.availability_zone], "ec2:availabilityzoneid": [subnet.availability_zone_id]}
                return _tags(subnet.tags) | zone | {"ec2:subnetid": [id], "ec2:vpc": [_vpc_arn(arn, subnet.vpc_id)]}
        case "security-group":
            group = reader.get(SECURITY_GROUPS, id)
            if group is not None and (group.region, group.account_id) == place:
                return _tags(group.tags) | {"ec2:securitygroupid": [id], "ec2:vpc": [_vpc_arn(arn, group.vpc_id)]}
        case "security-group-rule":
            for group in reader.list(SECURITY_GROUPS, "rule", id):
                if (group.region, group.account_id) == place:
                    return _tags(next(rule.tags for rule in group.rules if rule.id == id))
        case "instance":
            return _of_instance(reader, ":".join(place), id)
    return {}


def _of_instance(reader: Reader, scope: str, id: str) -> Mapping[str, Sequence[str]]:
    registered = [one for one in reader.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope}:{id}") if one.status != "INACTIVE"]
    if not registered:
        return {}
    tagged = reader.get(INSTANCE_TAGS, f"{scope}:{id}")
    found = _tags(tagged.tags if tagged is not None else ())
    return found | {"ec2:instanceid": [id], "ec2:availabilityzone": [registered[-1].availability_zone], "ec2:tenancy": ["default"]}


def _tags(tags: Iterable[Tag]) -> dict[str, list[str]]:
    return {f"{prefix}:resourcetag/{tag.key.lower()}": [tag.value] for tag in tags for prefix in ("aws", "ec2")}


def _vpc_arn(arn: str, vpc_id: str) -> str:
    return f"{arn.rpartition(':')[0]}:vpc/{vpc_id}"
