"""The evaluator against the plain one over thousands of questions by chance, and what is true of all of them."""

from __future__ import annotations

import json
import random

import pytest

from longshore.services.iam.evaluator import Limit, Reach, decide
from longshore.services.iam.policy import compile_policy
from longshore.services.iam.tracing import Named, trace
from tests.services.iam.random_policies import CALLERS, KINDS, Case, case, context, differences, document, ours

QUESTIONS = 2_000


def test_the_evaluator_and_the_plain_one_agree_on_what_is_allowed_what_is_denied_and_which_side_decided() -> None:
    told: list[str] = []
    differences(QUESTIONS, 0, lambda number, asked, ours, plainly: told.append(f"{number}: {asked}\n  {ours}\n  {plainly}"))
    assert not told, told[0]


def test_the_questions_are_of_every_kind() -> None:
    asked = [case(random.Random(number)) for number in range(QUESTIONS // 2)]
    verdicts = [ours(one) for one in asked]
    assert {one.caller.arn for one in asked} == {caller.arn for caller in CALLERS}
    for wanted in ("allowed", "explicit_deny"):
        share = sum(getattr(verdict, wanted) for verdict in verdicts) / len(verdicts)
        assert 0.1 < share < 0.6, f"{share:.2f} {wanted}"
    assert {(verdict.explicit_deny, verdict.side) for verdict in verdicts if not verdict.allowed} == {
        (denied, side) for denied in (True, False) for side in ("identity", "resource", "boundary", "session")
    }
    text = json.dumps([asked[:2] for asked in asked])
    for operators, *_ in KINDS.values():
        for operator in operators:
            assert f'{operator}\\"' in text and f"{operator}IfExists" in text
            assert f"ForAllValues:{operator}" in text and f"ForAnyValue:{operator}" in text


def _traced(asked: Case) -> list[tuple[str, str, Reach]]:
    every = [Named("own", "identity", compile_policy(one)) for one in asked.identity]
    every += [Named("its", "resource", compile_policy(one, resource_based=True)) for one in asked.resources]
    every += [Named(kind, kind, compile_policy(one)) for kind, documents in asked.limits for one in documents]  # type: ignore[arg-type]
    found = trace(every, asked.action, asked.resource, asked.context, asked.caller)
    assert len(found) == sum(len(named.policy.statements) for named in every)
    return [(one.effect, one.side, one.reach) for one in found if one.applied]


def test_a_trace_tells_of_the_statements_that_make_the_decision() -> None:
    for number in range(400):
        asked = case(random.Random(number))
        verdict, applied = ours(asked), _traced(asked)
        assert verdict.explicit_deny is any(effect == "Deny" for effect, _, _ in applied)
        if verdict.explicit_deny:
            assert ("Deny", verdict.side) in {(effect, side) for effect, side, _ in applied}
        elif not verdict.allowed and verdict.side in ("boundary", "session"):
            assert not any(side == verdict.side for _, side, _ in applied)
        elif verdict.allowed and not asked.caller.identity_arn.endswith(":root"):
            assert any(side == verdict.side for _, side, _ in applied)


def _with(asked: Case, more: str) -> Case:
    return asked._replace(identity=[*asked.identity, more])


@pytest.mark.parametrize("seed", range(4))
def test_one_more_allow_takes_nothing_away_and_one_more_deny_gives_nothing(seed: int) -> None:
    pick = random.Random(seed)
    for _ in range(150):
        asked = case(pick)
        more = json.loads(document(pick))
        listed = more["Statement"] if isinstance(more["Statement"], list) else [more["Statement"]]
        before = ours(asked)
        for effect in ("Allow", "Deny"):
            after = ours(_with(asked, json.dumps({**more, "Statement": [{**one, "Effect": effect} for one in listed]})))
            if effect == "Allow":
                assert after.allowed or not before.allowed
                assert after.explicit_deny is before.explicit_deny
            else:
                assert before.allowed or not after.allowed
                assert after.explicit_deny or not before.explicit_deny


def test_a_limit_never_gives() -> None:
    pick = random.Random(7)
    for _ in range(200):
        asked = case(pick)
        bounded = asked._replace(limits=[*asked.limits, ("session", [document(pick)])])
        assert ours(asked).allowed or not ours(bounded).allowed


def test_the_order_of_policies_and_statements_does_not_count() -> None:
    pick = random.Random(11)
    for _ in range(200):
        asked = case(pick)
        turned = asked._replace(identity=[*map(_turned, reversed(asked.identity))], resources=[*map(_turned, reversed(asked.resources))])
        assert ours(asked) == ours(turned)


def _turned(text: str) -> str:
    read = json.loads(text)
    return json.dumps({**read, "Statement": read["Statement"][::-1]}) if isinstance(read["Statement"], list) else text


def test_what_constant_policies_decide_does_not_hang_on_the_context() -> None:
    pick, seen = random.Random(13), 0
    while seen < 100:
        asked = case(pick)
        own = [compile_policy(one) for one in asked.identity]
        its = [compile_policy(one, resource_based=True) for one in asked.resources]
        limits = [Limit(kind, tuple(map(compile_policy, documents))) for kind, documents in asked.limits]  # type: ignore[arg-type]
        if not all(policy.is_constant for policy in (*own, *its, *(one for limit in limits for one in limit.policies))):
            continue
        seen += 1
        first, *others = [
            decide(own, its, asked.action, asked.resource, given, asked.caller, limits=limits)
            for given in (asked.context, {}, context(pick))
        ]
        assert all(other == first for other in others)
