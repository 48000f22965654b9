"""Changed policies tried on calls that there were: what would break is what the evaluator would then deny."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.iam.deciding import Heard
from longshore.services.iam.dry_run import Case, Replay, caller_of, context_of, joined, once, replay, unkept_keys
from longshore.services.iam.dry_run_changes import Source, Standing, changed
from longshore.services.iam.evaluator import Limit, decide
from longshore.services.iam.policy import compile_policy
from longshore.services.iam.recording_model import Change, RecordedCall
from tests.services.iam.test_evaluator import ACTIONS, CONTEXTS, RESOURCES, allow, deny, document, statements

ACCOUNT = "000000000000"
ANN, TEAM, ROLE = (f"arn:aws:iam::{ACCOUNT}:{name}" for name in ("user/ann", "group/team", "role/ci"))
EDGE = f"arn:aws:iam::{ACCOUNT}:policy/edge"
NOTHING = Heard((), (), (), False)


def inline(holder: str, name: str, *said: dict[str, Any]) -> Source:
    return Source("inline", name, "", holder, document(*said))


def standing(*sources: Source, boundary: Source | None = None, who: str = ANN) -> Standing:
    return Standing(who, (who, TEAM) if who == ANN else (who,), sources, boundary)


def call(
    action: str = "ecs:RunTask", *, allowed: int = 1, denied: int = 0, who: str = ANN, resource: str = "*", **said: Any
) -> RecordedCall:
    return RecordedCall("r", who, action, resource, tuple(said.items()), False, allowed, denied, 10.0, 20.0, "one", "AIDAANN")


def tried(before: Standing, *changes: Change, calls: list[RecordedCall], heard: Heard = NOTHING) -> Replay:
    after = changed(before, changes)
    return replay(Case(one, caller_of(one, ACCOUNT), heard, before, after) for one in calls)


def test_a_call_that_was_allowed_and_would_be_denied_breaks_and_says_by_what() -> None:
    before = standing(inline(ANN, "own", allow("ecs:*")))
    narrower = document(allow("ecs:List*"), deny("ecs:Delete*", Sid="Never"))
    calls = [call("ecs:RunTask", allowed=7), call("ecs:ListTasks"), call("ecs:DeleteCluster", allowed=2)]
    found = tried(before, Change("put", ANN, "own", document=narrower), calls=calls)
    assert [(one.call.action, one.before.why, one.after.why) for one in found.breaks] == [
        ("ecs:RunTask", "own, statement 1, allows it", "no identity-based policy allows it"),
        ("ecs:DeleteCluster", "own, statement 1, allows it", "own, statement 2 (Never), denies it"),
    ]
    assert (found.unchanged, found.requests_denied, found.opens) == (1, 9, ())


def test_a_call_that_was_refused_and_would_be_allowed_is_opened() -> None:
    found = tried(standing(), Change("put", ANN, "new", document=document(allow("ecs:*"))), calls=[call(allowed=0, denied=4)])
    assert [one.call.denied for one in found.opens] == [4] and not found.breaks


def test_a_boundary_put_or_taken_away_counts() -> None:
    own = inline(ANN, "own", allow())
    tight = Source("boundary", "edge", EDGE, ANN, document(allow("ecr:*")))
    found = tried(standing(own), Change("boundary", ANN, policy_arn=EDGE, document=tight.document), calls=[call()])
    assert [one.after.why for one in found.breaks] == ["no permissions boundary allows it"]
    found = tried(standing(own, boundary=tight), Change("boundary", ANN), calls=[call(allowed=0, denied=1)])
    assert len(found.opens) == 1


def test_a_new_version_counts_wherever_the_policy_is_held_and_bounds() -> None:
    held = Source("managed", "edge", EDGE, TEAM, document(allow("ecs:*")))
    change = Change("version", policy_arn=EDGE, document=document(allow("ecr:*")))
    assert len(tried(standing(held), change, calls=[call()]).breaks) == 1
    bounding = standing(inline(ANN, "own", allow()), boundary=held._replace(kind="boundary"))
    assert len(tried(bounding, change, calls=[call()]).breaks) == 1


def test_policies_are_attached_and_detached_where_it_is_said() -> None:
    held = Source("managed", "edge", EDGE, TEAM, document(allow("ecs:*")))
    assert len(tried(standing(held), Change("detach", TEAM, policy_arn=EDGE), calls=[call()]).breaks) == 1
    assert not tried(standing(held), Change("detach", ANN, policy_arn=EDGE), calls=[call()]).breaks
    swapped = (Change("detach", TEAM, policy_arn=EDGE), Change("attach", ANN, policy_arn=EDGE, document=held.document))
    assert not tried(standing(held), *swapped, calls=[call()]).breaks
    assert not tried(standing(held), Change("delete", ANN, "edge"), calls=[call()]).breaks
    assert not tried(standing(held), Change("detach", f"{TEAM}s", policy_arn=EDGE), calls=[call()]).breaks


def test_what_a_session_was_limited_to_stays_and_roles_are_asked_as_their_sessions() -> None:
    within = Heard((), (), (Limit("session", (compile_policy(document(allow("ecs:*"))),)),), False)
    before = standing(inline(ROLE, "own", allow("ecs:*")), who=ROLE)
    change = Change("put", ROLE, "own", document=document(allow("*")))
    calls = [call("ecr:PutImage", allowed=0, denied=1, who=ROLE)]
    assert len(tried(before, change, calls=calls).opens) == 1
    assert not tried(before, change, calls=calls, heard=within).opens
    who = caller_of(calls[0], ACCOUNT)
    assert (who.arn, who.identity_arn) == (f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/one", ROLE)


def test_what_a_resource_says_decides_as_before_and_is_not_quoted() -> None:
    its = compile_policy(document({"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "ecr:*"}), resource_based=True)
    found = tried(
        standing(), Change("put", ANN, "own", document=document(allow())), calls=[call("ecr:PutImage")], heard=Heard((), (its,), (), False)
    )
    assert [(one.after.why, one.after.explicit) for one in found.breaks] == [("a resource-based policy denies it", True)]


def test_moments_are_those_of_the_last_call_and_what_was_not_kept_is_named() -> None:
    kept = call(**{"aws:sourceip": ("10.0.0.1",)})
    context = context_of(kept, caller_of(kept, ACCOUNT))
    assert context["aws:epochtime"] == ["20"] and context["aws:sourceip"] == ("10.0.0.1",)
    assert not {"aws:tokenissuetime", "aws:useragent"} & set(context)
    assert unkept_keys(["aws:TokenIssueTime", "aws:SourceIp"], ["aws:tokenissuetime"]) == ("aws:TokenIssueTime",)


def test_policies_of_today_that_decide_otherwise_than_then_are_counted() -> None:
    found = tried(standing(), Change("delete", ANN, "own"), calls=[call()])
    assert found.since_changed == 1 and len(found.breaks) == 1


def test_what_two_recordings_have_seen_is_one_call() -> None:
    first, second = call(allowed=2), call(allowed=5)
    assert once([first, second, call("ecs:ListTasks")]) == [second, call("ecs:ListTasks")]


@pytest.mark.parametrize("parts", [1, 3])
def test_parts_together_are_the_whole(parts: int) -> None:
    before = standing(inline(ANN, "own", allow("ecs:*")))
    calls = [call(f"ecs:Do{number}", allowed=number + 1) for number in range(9)]
    change = Change("put", ANN, "own", document=document(allow("ecs:Do1")))
    whole = tried(before, change, calls=calls)
    assert joined([tried(before, change, calls=calls[start::parts]) for start in range(parts)]) == whole


DOCUMENTS = st.lists(statements(principals=False), min_size=1, max_size=3).map(lambda said: document(*said))


@settings(max_examples=120, deadline=None)
@given(DOCUMENTS, DOCUMENTS, ACTIONS, RESOURCES, CONTEXTS)
def test_what_breaks_is_what_the_evaluator_would_deny(
    before: str, after: str, action: str, resource: str, context: dict[str, list[str]]
) -> None:
    said = {key.lower(): tuple(values) for key, values in context.items() if key.lower() != "aws:username"}
    kept = RecordedCall("r", ANN, action, resource, tuple(said.items()), allowed=1, user_id="AIDAANN", last_at=5.0)
    who = caller_of(kept, ACCOUNT)
    found = tried(standing(Source("inline", "own", "", ANN, before)), Change("put", ANN, "own", document=after), calls=[kept])
    decided = decide([compile_policy(after)], (), action, resource, context_of(kept, who), who)
    assert bool(found.breaks) is not decided.allowed
