"""The account's EC2 attributes, which tools ask for to find the default VPC."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.api import operation
from longshore.services.ec2.defaults import default_vpc


@operation("DescribeAccountAttributes", resource=ANY_RESOURCE)
async def describe_account_attributes(
    call: Call, request: shapes.DescribeAccountAttributesRequest
) -> shapes.DescribeAccountAttributesResult:
    vpc = default_vpc(call.store, call.account_id, call.region)
    attributes = {
        "supported-platforms": "VPC",
        "default-vpc": "none" if vpc is None else vpc.id,
        "max-instances": "20",
        "vpc-max-security-groups-per-interface": "5",
        "max-elastic-ips": "5",
        "vpc-max-elastic-ips": "5",
    }
    wanted: tuple[str, ...] = request.attribute_names or tuple(attributes)
    return shapes.DescribeAccountAttributesResult(
        account_attributes=tuple(
            shapes.AccountAttribute(attribute_name=name, attribute_values=(shapes.AccountAttributeValue(attribute_value=attributes[name]),))
            for name in wanted
        )
    )
