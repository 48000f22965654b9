"""The account's quotas."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.api import api
from longshore.services.elbv2.paging import page_of
from longshore.services.elbv2.quotas import LIMITS


@api.operation("DescribeAccountLimits", resource=ANY_RESOURCE)
async def describe_account_limits(call: Call, request: shapes.DescribeAccountLimitsInput) -> shapes.DescribeAccountLimitsOutput:
    page, next_marker = page_of(LIMITS, lambda limit: limit[0], request.marker, request.page_size)
    return shapes.DescribeAccountLimitsOutput(
        limits=tuple(shapes.Limit(name=name, max=str(most)) for name, most in page), next_marker=next_marker
    )
