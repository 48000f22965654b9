"""Decisions explained: the evaluator's word, what each statement said, and remedies that are known to suffice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.call import Principal, Session
from longshore.services.iam.dry_run_changes import Source
from longshore.services.iam.evaluator import Limit, Side, decide
from longshore.services.iam.explaining import UNDETERMINED, Explanation, Question, Voice, explain
from longshore.services.iam.policy import compile_policy
from tests.services.iam.test_evaluator import ACTIONS, CONTEXTS, RESOURCES, allow, deny, document, statements

ACCOUNT, OTHER = "000000000000", "111111111111"
ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN", "")
DAN = Principal(
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/dan",
    "AROADEPLOYDEPLOYDEPLO:dan",
    "ASIADAN",
    session=Session(f"arn:aws:iam::{ACCOUNT}:role/deploy", "AROADEPLOYDEPLOYDEPLO", 0.0, 1.0, ""),
)
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/edge"
THEIRS = f"arn:aws:ecr:us-east-1:{OTHER}:repository/app"


def voice(side: Side, text: str, name: str = "own") -> Voice:
    source = Source(side, name, "", ANN.arn if side != "resource" else THEIRS, text, resource_based=side == "resource")
    return Voice(side, source, source.policy)


def asked(
    *voices: Voice, action: str = "ecs:RunTask", resource: str = CLUSTER, context: dict[str, list[str]] | None = None, **more: Any
) -> Question:
    bounded = any(one.side == "boundary" for one in voices)
    given = {"principal": ANN, "must_allow": False, "shares": True, **more}
    return Question(action=action, resource=resource, context=context or {}, voices=voices, bounded=bounded, **given)


def outcomes(found: Explanation) -> list[tuple[str, int, str, bool]]:
    return [
        (one.voice.source.name, said.traced.index + 1, said.traced.missed, said.decides) for one in found.spoken for said in one.statements
    ]


def test_every_statement_says_what_it_missed_by_and_one_decides() -> None:
    text = document(
        deny("ecs:Delete*"),
        allow("ecs:*", f"{CLUSTER}x"),
        allow("ecs:RunTask", Condition={"StringEquals": {"aws:ResourceTag/team": "web"}}),
        allow("ecs:Run*"),
    )
    found = explain(asked(voice("identity", text), context={"aws:resourcetag/team": ["edge"]}))
    assert outcomes(found) == [
        ("own", 1, "action", False),
        ("own", 2, "resource", False),
        ("own", 3, "condition", False),
        ("own", 4, "", True),
    ]
    assert (found.decision, found.message, found.remedies) == ("allowed", "", ())
    unmet = found.spoken[0].statements[2].traced.unmet
    assert unmet is not None and (unmet.key, unmet.wanted, unmet.given) == ("aws:resourcetag/team", ("web",), ("edge",))


def test_a_refusal_is_in_awss_words_and_names_the_smallest_statement_that_is_lacking() -> None:
    found = explain(asked(voice("identity", document(allow("ecs:List*")))))
    assert found.decision == "implicitDeny"
    assert found.message.endswith(f"ecs:RunTask on resource: {CLUSTER} because no identity-based policy allows the ecs:RunTask action")
    (remedy,) = found.remedies
    assert (remedy.side, remedy.verb, remedy.holder_arn) == ("identity", "add", ANN.arn)
    assert json.loads(remedy.statement) == allow("ecs:RunTask", CLUSTER)


def test_a_deny_is_named_and_what_is_lacking_beside_it() -> None:
    found = explain(asked(voice("identity", document(allow("ecs:List*"), deny("*", Sid="Never")))))
    assert found.decision == "explicitDeny"
    assert [(one.verb, one.policy_name) for one in found.remedies] == [("change", "own"), ("add", "")]
    assert "statement 2 of own" in found.remedies[0].words and json.loads(found.remedies[0].statement)["Sid"] == "Never"


def test_across_accounts_both_sides_are_named() -> None:
    found = explain(asked(action="ecr:BatchGetImage", resource=THEIRS))
    assert [(one.side, one.account_id) for one in found.remedies] == [("resource", OTHER), ("identity", ACCOUNT)]
    assert json.loads(found.remedies[0].statement) == {"Effect": "Allow", "Principal": {"AWS": ANN.arn}, "Action": "ecr:BatchGetImage"}
    assert any("both must allow" in note for note in found.notes)


def test_what_cannot_have_a_policy_of_its_own_is_never_shared() -> None:
    found = explain(asked(resource=f"arn:aws:ecs:us-east-1:{OTHER}:cluster/edge", shares=False))
    assert [one.verb for one in found.remedies] == ["none"]


def test_boundaries_and_sessions_are_named_where_they_lack_it() -> None:
    limits = (
        voice("identity", document(allow())),
        voice("boundary", document(allow("ecr:*")), "edge"),
        voice("session", document(allow("s3:*"))),
    )
    found = explain(asked(*limits, principal=DAN))
    assert found.message.endswith("because no permissions boundary allows the ecs:RunTask action")
    assert [(one.side, one.policy_name) for one in found.remedies] == [("boundary", "edge"), ("session", "")]


def test_a_boundary_whose_policy_is_gone_allows_nothing() -> None:
    gone = Voice("boundary", Source("boundary", "edge", "", ANN.arn, ""), None)
    found = explain(asked(voice("identity", document(allow())), gone))
    assert found.decision == "implicitDeny" and "boundary" in found.notes[0]


def test_another_accounts_policies_are_neither_shown_nor_guessed() -> None:
    mine = voice("identity", document(allow("ecr:*")))
    found = explain(asked(mine, action="ecr:PutImage", resource=THEIRS, hides=frozenset({"resource"})))
    assert found.decision == UNDETERMINED and not found.remedies
    assert explain(asked(action="ecr:PutImage", resource=THEIRS, hides=frozenset({"resource"}))).decision == "implicitDeny"
    its = voice(
        "resource", document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "ecr:BatchGetImage"}), "repository policy"
    )
    seen = {"resource": THEIRS, "hides": frozenset({"identity"})}
    assert explain(asked(its, action="ecr:BatchGetImage", **seen)).decision == UNDETERMINED
    assert explain(asked(its, action="ecr:PutImage", **seen)).decision == "implicitDeny"


def test_keys_that_would_matter_are_named_and_others_are_not() -> None:
    text = document(
        allow("ecs:RunTask", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow("ecr:*", Condition={"StringEquals": {"aws:UserAgent": "x"}}),
        allow("ecs:*", f"{CLUSTER}x", Condition={"StringEquals": {"aws:RequestedRegion": "x"}}),
        allow("ecs:*", "arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team}", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    )
    assert explain(asked(voice("identity", text))).missing == ("aws:PrincipalTag/team", "aws:SourceIp")


def test_statements_stand_where_the_document_has_them() -> None:
    text = '{"Version": "2012-10-17",\n "Statement": [\n  {"Effect": "Allow", "Action": "ecs:RunTask",\n   "Resource": "*"}]}'
    (spoken,) = explain(asked(voice("identity", text))).spoken
    place = spoken.statements[0].place
    assert place is not None and (tuple(place.begin), tuple(place.end)) == ((3, 3), (4, 19))


DOCUMENTS = st.lists(statements(principals=False), min_size=1, max_size=3).map(lambda said: document(*said))
RESOURCE_DOCUMENTS = st.lists(statements(principals=True), min_size=1, max_size=2).map(lambda said: document(*said))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    voices = [voice("identity", draw(DOCUMENTS)) for _ in range(draw(st.integers(0, 2)))]
    voices += [voice("resource", draw(RESOURCE_DOCUMENTS)) for _ in range(draw(st.integers(0, 1)))]
    voices += [voice("boundary", draw(DOCUMENTS)) for _ in range(draw(st.integers(0, 1)))]
    who = draw(st.sampled_from([ANN, DAN]))
    if who is DAN:
        voices += [voice("session", draw(DOCUMENTS)) for _ in range(draw(st.integers(0, 1)))]
    resource = draw(st.one_of(RESOURCES, st.just(THEIRS)))
    return asked(*voices, action=draw(ACTIONS), resource=resource, context=draw(CONTEXTS), principal=who, must_allow=draw(st.booleans()))


def on(question: Question, side: Side) -> list[Any]:
    return [one.policy for one in question.voices if one.side == side and one.policy is not None]


def decided(question: Question, more: dict[str, list[Any]], without: set[tuple[str, str]]) -> bool:
    """As the evaluator would, with statements added and others taken away."""

    def policies(side: Side) -> list[Any]:
        kept = []
        for one in question.voices:
            if one.side == side:
                said = json.loads(one.source.document)["Statement"]
                left = [each for each in said if (side, json.dumps(each, sort_keys=True)) not in without]
                if left:
                    kept.append(compile_policy(document(*left), resource_based=side == "resource"))
        return [*kept, *more.get(side, [])]

    limits = [Limit("boundary", tuple(policies("boundary")))] if question.bounded else []
    if any(one.side == "session" for one in question.voices):
        limits.append(Limit("session", tuple(policies("session"))))
    return decide(
        *(policies("identity"), policies("resource"), question.action, question.resource, question.context, question.principal),
        limits=limits,
        resource_must_allow=question.must_allow,
    ).allowed


@settings(max_examples=120, deadline=None)
@given(questions())
def test_it_says_what_the_evaluator_says_and_its_remedies_are_enough_and_each_is_needed(question: Question) -> None:
    found = explain(question)
    assert (found.decision == "allowed") is decided(question, {}, set())
    if found.decision == "allowed":
        assert not found.remedies
        return
    assert found.remedies

    def with_these(remedies: list[Any]) -> bool:
        more: dict[str, list[Any]] = {}
        for one in remedies:
            if one.verb == "add":
                more.setdefault(one.side, []).append(
                    compile_policy(document(json.loads(one.statement)), resource_based=one.side == "resource")
                )
        gone = {(one.side, json.dumps(json.loads(one.statement), sort_keys=True)) for one in remedies if one.verb == "change"}
        return decided(question, more, gone)

    remedies = list(found.remedies)
    assert with_these(remedies)
    alike = Counter((one.side, one.statement) for one in remedies)
    for left in remedies:
        if alike[left.side, left.statement] == 1:
            assert not with_these([one for one in remedies if one is not left]), left


@pytest.mark.parametrize("action", ["sts:AssumeRole", "ecr:PutImage"])
def test_the_resources_word_is_called_what_it_is(action: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    found = explain(asked(action=action, resource=role, must_allow=True))
    assert ("trust policy" in found.remedies[0].words) is action.startswith("sts:")
