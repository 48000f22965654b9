"""Where a Classic load balancer is read from: the platform itself, another endpoint, or AWS, as whom the AWS profile says."""

from __future__ import annotations

from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DEFAULT_REGION

_PATIENCE_S = 30.0


def source_platform(here: Platform, endpoint: str | None, region: str | None, profile: str | None) -> Platform:
    """`here`, unless an endpoint or a profile is named. Raises Failure where no key is known for it."""
    from longshore.cli.aws_profiles import read_profile
    from longshore.environment import environment

    if endpoint is None and profile is None:
        return here
    given = environment()
    found = read_profile(given, profile)
    if found.credentials is None:
        raise Failure(
            f"no key is known for {endpoint or 'AWS'}",
            "name an AWS profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ExitCode.USAGE,
        )
    wanted = region or found.region or given.region or DEFAULT_REGION
    where = endpoint or found.endpoint or f"https://elasticloadbalancing.{wanted}.amazonaws.com"
    return Platform(where.rstrip("/"), wanted, found.credentials, _PATIENCE_S, ca_bundle=found.ca_bundle, session_token=found.session_token)
