"""How much one principal may ask: token buckets for each (principal, API, class of operations), refused with AWS's Throttling.

    off       nobody is held up. What a loopback address has unless something else is asked for: who can reach it shares the machine
              anyway, and a run of tests against a platform of one's own must not meet a limit.
    generous  what any other address has: one principal, broken or bad, cannot have the server for itself. See `GENEROUS`.
    aws       the buckets that AWS documents (limits_of_aws.py), for trying how clients hold back.

Sessions of one role share its buckets, or everybody could begin as many as they like; sessions of a machine have that machine's own. A
request counts once it is known whose it is and before anything of it is parsed, whether it is then allowed or not. Nothing survives a
restart, and no clock that people set is asked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache, partial

from longshore.aws.errors import Throttling
from longshore.gateway.attempt import Limiter, Unlimited
from longshore.gateway.buckets import Buckets, Rate
from longshore.gateway.catalogue import SERVED, served
from longshore.gateway.limits_of_aws import READS, of_aws
from longshore.services.call import Principal

#: A process of the gateway answers some 20,000 reads a second and writes some 3,000 times: a tenth of that without end, and for a while
#: half of it, is more than any deployment tool asks for (Terraform, with its ten requests at a time, some hundred a second).
GENEROUS = {"reads": Rate(10_000, 2_000), "changes": Rate(1_500, 300)}
#: (principal, API, class): some 150 bytes each
MOST_BUCKETS = 50_000
_LONGEST_NAME = 128

Classify = Callable[[str, str], tuple[str, Rate]]


def generous(api: str, operation: str) -> tuple[str, Rate]:
    name = "reads" if operation.startswith(tuple(prefix[:-1] for prefix in READS)) else "changes"
    return name, GENEROUS[name]


class RateLimits:
    """A Limiter with buckets sized by `classify`, which is a function of nothing but its arguments."""

    def __init__(self, classify: Classify, monotonic: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS) -> None:
        self._classify = lru_cache(maxsize=4096)(partial(_class_of, classify))
        self._monotonic = monotonic
        self._buckets = Buckets(most)

    @property
    def buckets(self) -> int:
        """How many are kept."""
        return len(self._buckets)

    def admit(self, principal: Principal, api: str, operation: str) -> None:
        """Raises Throttling with the seconds after which there is a token again."""
        name, rate = self._classify(api, operation[:_LONGEST_NAME])
        wait_s = self._buckets.take((whose(principal), api, name), rate, self._monotonic())
        if wait_s > 0.0:
            raise Throttling("Rate exceeded", retry_after_s=wait_s)


def _class_of(classify: Classify, api: str, operation: str) -> tuple[str, Rate]:
    """Names are clients' to invent, so all that no model has count for one. (Those of routes of our own are ours.)"""
    if api not in SERVED:
        return classify(api, operation)
    there = served(api)
    return classify(api, operation if operation in there.operations or operation in there.known else "")


def whose(principal: Principal) -> str:
    """Whose buckets they are."""
    session = principal.session
    if session is not None and session.bound_to and not session.bound_to.startswith("arn:"):
        return principal.arn  # a machine's: its name is the platform's own to give
    return principal.identity_arn


def limiter_of(limits: str) -> Limiter:
    """`limits`: off, generous or aws."""
    if limits == "off":
        return Unlimited()
    return RateLimits(of_aws if limits == "aws" else generous)


def retry_headers(wait_s: float) -> tuple[tuple[str, str], ...]:
    """For everybody in whole seconds, for AWS's SDKs in milliseconds."""
    return ("Retry-After", str(max(1, math.ceil(wait_s)))), ("x-amz-retry-after", str(max(1, math.ceil(wait_s * 1000))))
