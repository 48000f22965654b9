"""Regions and Availability Zones: the installation's own, and AWS's others."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.api import operation
from longshore.services.ec2.defaults import zones_of
from longshore.services.ec2.errors import InvalidParameterValue
from longshore.services.ec2.filters import ValuesOf, filtered
from longshore.services.ec2.regions import AWS_REGIONS, zone_id

OPT_IN = "opt-in-not-required"

_ZONE_FILTERS: Mapping[str, ValuesOf[shapes.AvailabilityZone]] = {
    "zone-name": lambda zone: (zone.zone_name or "",),
    "zone-id": lambda zone: (zone.zone_id or "",),
    "zone-type": lambda zone: (zone.zone_type or "",),
    "region-name": lambda zone: (zone.region_name or "",),
    "group-name": lambda zone: (zone.group_name or "",),
    "network-border-group": lambda zone: (zone.network_border_group or "",),
    "opt-in-status": lambda zone: (zone.opt_in_status or "",),
    "state": lambda zone: (zone.state or "",),
    "message": lambda zone: (),
}

_REGION_FILTERS: Mapping[str, ValuesOf[shapes.Region]] = {
    "region-name": lambda region: (region.region_name or "",),
    "endpoint": lambda region: (region.endpoint or "",),
    "opt-in-status": lambda region: (region.opt_in_status or "",),
}


@operation("DescribeAvailabilityZones", resource=ANY_RESOURCE)
async def describe_availability_zones(
    call: Call, request: shapes.DescribeAvailabilityZonesRequest
) -> shapes.DescribeAvailabilityZonesResult:
    zones = [_zone(call.region, name) for name in zones_of(call.site, call.region)]
    for asked, known, what in (
        (request.zone_names, {zone.zone_name for zone in zones}, "availability zone"),
        (request.zone_ids, {zone.zone_id for zone in zones}, "availability zone-id"),
    ):
        for name in asked or ():
            if name not in known:
                raise InvalidParameterValue(f"Invalid {what}: [{name}]")
    chosen = [
        zone
        for zone in zones
        if (not request.zone_names or zone.zone_name in request.zone_names) and (not request.zone_ids or zone.zone_id in request.zone_ids)
    ]
    return shapes.DescribeAvailabilityZonesResult(availability_zones=tuple(filtered(chosen, request.filters, _ZONE_FILTERS)))


def _zone(region: str, name: str) -> shapes.AvailabilityZone:
    return shapes.AvailabilityZone(
        opt_in_status=OPT_IN,
        messages=(),
        region_name=region,
        zone_name=name,
        zone_id=zone_id(region, name),
        group_name=f"{region}-zg-1",
        network_border_group=region,
        zone_type="availability-zone",
        state="available",
    )


@operation("DescribeRegions", resource=ANY_RESOURCE)
async def describe_regions(call: Call, request: shapes.DescribeRegionsRequest) -> shapes.DescribeRegionsResult:
    names = sorted({call.site.region, *AWS_REGIONS})
    for asked in request.region_names or ():
        if asked not in names:
            raise InvalidParameterValue(f"Invalid region: [{asked}]")
    regions = [
        shapes.Region(region_name=name, endpoint=f"ec2.{name}.amazonaws.com", opt_in_status=OPT_IN)
        for name in names
        if not request.region_names or name in request.region_names
    ]
    return shapes.DescribeRegionsResult(regions=tuple(filtered(regions, request.filters, _REGION_FILTERS)))
