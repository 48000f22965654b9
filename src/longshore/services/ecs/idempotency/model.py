"""Client tokens of RunTask, remembered for a day with what was asked for and what came of it.

The tasks themselves may be forgotten sooner: a token that comes again then still starts nothing.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class RunToken(msgspec.Struct, frozen=True, gc=False):
    cluster_arn: str
    token: str
    #: of the whole request
    digest: str
    at: float
    task_arns: tuple[str, ...] = ()


RUN_TOKENS: Kind[RunToken] = Kind(
    name="ecs.run_token",
    type=RunToken,
    # oldest first
    key=lambda noted: f"{noted.at:020.6f}|{noted.cluster_arn}|{noted.token}",
    indexes={"token": lambda noted: (f"{noted.cluster_arn}|{noted.token}",)},
)
