"""Why a decision came out as it did, told for every statement."""

from __future__ import annotations

from typing import Any

from longshore.services.iam.document import Place, Position
from longshore.services.iam.evaluator import Reach
from longshore.services.iam.policy import compile_policy
from longshore.services.iam.tracing import Named, Traced, Unmet, trace
from tests.services.iam.test_evaluator import ANN, CLUSTER, DAN, allow, deny, document


def traced(*statements: dict[str, Any], caller: Any = ANN, resource_based: bool = False, **context: str) -> tuple[Traced, ...]:
    policy = compile_policy(document(*statements), resource_based=resource_based)
    keys = {name.replace("__", ":"): [value] for name, value in context.items()}
    named = Named("mine", "resource" if resource_based else "identity", policy)
    return trace([named], "ecs:RunTask", CLUSTER, keys, caller)


def test_what_each_statement_missed_is_told_in_the_order_in_which_it_is_asked() -> None:
    found = traced(
        allow("ecr:*"),
        allow("ecs:*", "arn:aws:ecs:*:*:cluster/core"),
        allow("ecs:*", Condition={"StringEquals": {"aws:username": "bob"}}),
        deny("ecs:*", Sid="No"),
        aws__username="ann",
    )
    assert [(one.index, one.missed, one.applied) for one in found] == [
        (0, "action", False),
        (1, "resource", False),
        (2, "condition", False),
        (3, "", True),
    ]
    assert (found[3].sid, found[3].effect, found[3].policy, found[3].side) == ("No", "Deny", "mine", "identity")


def test_a_condition_that_did_not_hold_is_shown_with_what_the_request_had() -> None:
    both = allow(Condition={"Bool": {"aws:SecureTransport": True}, "ForAnyValue:StringLike": {"aws:TagKeys": ["a*", "${aws:username}"]}})
    (one,) = traced(both, aws__securetransport="true", AWS__TagKeys="b", aws__username="ann")
    assert one.unmet == Unmet("ForAnyValue:StringLike", "aws:tagkeys", ("a*", "${aws:username}"), ("b",))
    (one,) = traced(both, aws__username="ann")
    assert one.unmet == Unmet("Bool", "aws:securetransport", ("true",), None)


def test_a_resources_statement_tells_whom_it_speaks_of() -> None:
    def of(principal: Any, caller: Any = DAN) -> Traced:
        (one,) = traced({"Effect": "Allow", "Principal": principal, "Action": "ecs:*"}, caller=caller, resource_based=True)
        return one

    assert [of({"AWS": name}).reach for name in (DAN.arn, DAN.role_arn, DAN.account_id)] == [Reach.PRINCIPAL, Reach.IDENTITY, Reach.ACCOUNT]
    assert (of({"AWS": ANN.arn}).missed, of({"AWS": ANN.arn}, ANN).missed) == ("principal", "")


def test_a_statement_is_found_in_the_document_as_written() -> None:
    text = '{"Version": "2012-10-17",\n "Statement": [\n  {"Effect": "Allow", "Action": "*",\n   "Resource": "*"}]}'
    (one,) = trace([Named("p", "identity", compile_policy(text))], "ecs:RunTask", CLUSTER, {}, ANN)
    assert one.place == Place(Position(3, 3), Position(4, 19))
