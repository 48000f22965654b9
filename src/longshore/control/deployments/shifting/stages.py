"""The stages of a deployment that shifts traffic, in their order, and the words in which its planner is asked and answers.

Two sets of tasks stand side by side: blue, which serves, and green, which is to. A deployment is always in exactly one stage,
kept in the store; a Step says what comes next and is carried out whole, in one transaction, or not at all. So whoever looks
after a crash finds either the stage before, or the one after with its traffic.
"""

from __future__ import annotations

import msgspec

from longshore.services.ecs.rollout.model import Pause

RECONCILE = "RECONCILE_SERVICE"
PRE_SCALE_UP = "PRE_SCALE_UP"
SCALE_UP = "SCALE_UP"
POST_SCALE_UP = "POST_SCALE_UP"
TEST = "TEST_TRAFFIC_SHIFT"
POST_TEST = "POST_TEST_TRAFFIC_SHIFT"
PRE_PRODUCTION = "PRE_PRODUCTION_TRAFFIC_SHIFT"
PRODUCTION = "PRODUCTION_TRAFFIC_SHIFT"
POST_PRODUCTION = "POST_PRODUCTION_TRAFFIC_SHIFT"
BAKE = "BAKE_TIME"
CLEAN_UP = "CLEAN_UP"

#: a step of the traffic shift is PRE_PRODUCTION and PRODUCTION; strategies with several steps go through both again for each
ORDER = (RECONCILE, PRE_SCALE_UP, SCALE_UP, POST_SCALE_UP, TEST, POST_TEST, PRE_PRODUCTION, PRODUCTION, POST_PRODUCTION, BAKE, CLEAN_UP)


#: a balancer follows a rewritten rule a moment later and says so; where none says anything, who served until then goes on for so long
SETTLE_S = 15.0


def is_before(stage: str, other: str) -> bool:
    return ORDER.index(stage) < ORDER.index(other) if stage else True


class Hook(msgspec.Struct, frozen=True):
    """A lifecycle hook of the service that pauses."""

    stages: frozenset[str]
    timeout_s: float
    timeout_action: str = "ROLLBACK"  # ROLLBACK | CONTINUE


class Shift(msgspec.Struct, frozen=True):
    """Where a deployment that shifts traffic is."""

    service_deployment_arn: str
    blue: str  # deployment id; empty when nothing ran before
    green: str
    stage: str = ""
    stage_at: float = 0.0
    step: int = 0
    #: percent of production traffic that green is to have after each step
    percents: tuple[float, ...] = (100.0,)
    #: between steps, and after the last
    step_bake_s: float = 0.0
    bake_s: float = 0.0
    production_percent: float = 0.0
    #: when the rules were last rewritten
    shifted_at: float = 0.0
    #: the balancer says that nobody is served by what they said before
    followed: bool = False
    #: there are listener rules to rewrite: for production at all, and for tests
    balanced: bool = False
    tested: bool = False
    hooks: tuple[Hook, ...] = ()
    pauses: tuple[Pause, ...] = ()
    #: somebody asked for a rollback, in these words
    wish: str = ""
    #: green has been given up, in these words
    rolling_back: str = ""
    #: (deployment id, how many of its tasks are stopping)
    leaving: tuple[tuple[str, int], ...] = ()

    def leaves(self, deployment_id: str) -> int:
        return dict(self.leaving).get(deployment_id, 0)

    @property
    def settled_at(self) -> float:
        """From when on nobody is sent to where traffic was shifted away from, whatever the balancer says."""
        return self.shifted_at + SETTLE_S if self.shifted_at else 0.0

    def is_settled(self, now: float) -> bool:
        return self.followed or now >= self.settled_at

    @property
    def keeps_blue(self) -> bool:
        return self.stage != CLEAN_UP or bool(self.rolling_back)


class Step(msgspec.Struct, frozen=True):
    """What is to become of the service deployment, its traffic and its pauses, in one transaction."""

    #: "" stays where it is
    stage: str = ""
    step: int = 0
    #: green's share from now on; None leaves the rules alone
    production: float | None = None
    #: test traffic goes to green
    test: bool = False
    #: hooks that it has come to, by their place among the service's
    pause: tuple[int, ...] = ()
    #: pauses that are over by time, and how: (id, TIMED_OUT)
    timed_out: tuple[str, ...] = ()
    #: gives green up: traffic back to blue, and blue is the primary deployment again
    roll_back: str = ""
    #: there is nothing to go back to: green has failed and stays
    give_up: str = ""
    #: it is over: SUCCESSFUL or ROLLBACK_SUCCESSFUL
    finish: str = ""
    #: the circuit breaker's doing
    broken: bool = False
