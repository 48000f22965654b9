"""Beyond AWS: why somebody may or may not do something, statement by statement. Nothing is done, and nobody else hears of it.

Whoever may ask sees the policies that have a say. Those of another account are shown to the account that the installation belongs to,
which can make itself a key of any account's root anyhow, and to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from longshore.aws.errors import Validation
from longshore.services.call import Call, Principal
from longshore.services.iam import explaining_shapes as shapes
from longshore.services.iam.api import api
from longshore.services.iam.deciding import Context
from longshore.services.iam.errors import NoSuchEntity
from longshore.services.iam.evaluator import Side, resource_account
from longshore.services.iam.explaining import Question, Remedy, Said, Spoken, explain
from longshore.services.iam.explaining_principals import identity_named, principal_named, resource_named, speaks_for, voices_of
from longshore.services.iam.identities import global_context

#: what a question about somebody else's request cannot know unless it is told
_OF_A_REQUEST = ("aws:sourceip", "aws:useragent", "aws:securetransport", "aws:tokenissuetime", "aws:multifactorauthpresent")
#: of ECS, whose ARN names its cluster
_OF_A_CLUSTER = frozenset({"task", "service", "container-instance", "task-set"})


def _identity(call: Call, request: shapes.ExplainRequest) -> Iterable[str]:
    arn = identity_named(call, request.principal, request.account_id or call.account_id)
    # of another account's people the caller's own policies cannot speak by name
    return (arn if resource_account(arn) == call.account_id else "*",)


@api.operation("LongshoreExplainDecision", resource=_identity, shape=shapes.EXPLAIN)
async def explain_decision(call: Call, request: shapes.ExplainRequest) -> shapes.ExplainResponse:
    if call.deciding is None:
        raise Validation("Nothing is decided by this installation.")
    account_id = request.account_id or call.account_id
    principal = principal_named(call, request.principal, account_id)
    resource = resource_named(call, request.resource, request.action_name, account_id)
    hides = _hidden(call, principal, resource)
    context = _context(
        call, principal, resource, request.context, of_resource={} if "resource" in hides else call.deciding.of_resource(resource)
    )
    voices, bounded = voices_of(call.store, call.deciding, principal, request.action_name, resource)
    if "identity" in hides:
        voices, bounded = tuple(voice for voice in voices if voice.side == "resource"), False
    if "resource" in hides:
        voices = tuple(voice for voice in voices if voice.side != "resource")
    must_allow = call.deciding.heard(principal, request.action_name, resource).must_allow
    question = Question(
        principal, request.action_name, resource, context, voices, bounded, must_allow, call.deciding.shares(resource), hides
    )
    found = explain(question)
    return shapes.ExplainResponse(
        decision=found.decision,
        message=found.message,
        principal=principal.arn,
        identity=principal.identity_arn,
        action_name=request.action_name,
        resource=resource,
        policies=tuple(_policy_shape(one) for one in found.spoken),
        context=tuple(shapes.ContextEntry(key=key, values=tuple(values)) for key, values in sorted(context.items())),
        missing_context_keys=found.missing,
        remedies=tuple(_remedy_shape(one) for one in found.remedies),
        notes=found.notes if call.deciding.asks(request.action_name) else (*found.notes, _misspelt(request.action_name)),
    )


def _misspelt(action: str) -> str:
    return f"No request here asks for {action}, so that it is of no use to allow it. Is it spelt as AWS spells it?"


def _hidden(call: Call, principal: Principal, resource: str) -> frozenset[Side]:
    """Which side is another account's affair. Raises NoSuchEntity where both are."""
    hidden: set[Side] = set()
    if not speaks_for(call, principal.account_id):
        hidden.add("identity")
    owner = resource_account(resource)
    if owner and not speaks_for(call, owner):
        hidden.add("resource")
    if "identity" in hidden and owner != call.account_id:
        raise NoSuchEntity(f"There is no user or role {principal.identity_arn}.")
    return frozenset(hidden)


def _context(
    call: Call, principal: Principal, resource: str, given: Sequence[shapes.ContextEntry], of_resource: Context
) -> Mapping[str, Sequence[str]]:
    context: dict[str, Sequence[str]] = dict(
        global_context(principal, now=call.clock.now(), region=call.region, source_ip=call.source_ip, secure=False, user_agent="")
    )
    if principal is not call.principal:
        for key in _OF_A_REQUEST:
            context.pop(key, None)
    if not speaks_for(call, principal.account_id):
        context.pop("aws:userid", None)
    for key in ("aws:useragent", "aws:securetransport"):
        context.pop(key, None)
    context.update(of_resource)
    parts = resource.split(":", 5)
    if len(parts) == 6 and parts[2] == "ecs" and parts[5].split("/")[0] in _OF_A_CLUSTER and parts[5].count("/") > 1:
        context["ecs:cluster"] = [":".join((*parts[:5], f"cluster/{parts[5].split('/')[1]}"))]
    context.update({entry.key.lower(): entry.values for entry in given})
    return context


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy_shape(spoken: Spoken) -> shapes.Policy:
    voice = spoken.voice
    return shapes.Policy(
        side=voice.side,
        kind=voice.source.kind,
        name=voice.source.name,
        policy_arn=voice.source.policy_arn,
        holder_arn=voice.source.holder_arn,
        is_gone=voice.policy is None,
        statements=tuple(_statement_shape(one) for one in spoken.statements),
    )


def _statement_shape(said: Said) -> shapes.Statement:
    traced, place, unmet = said.traced, said.place, said.traced.unmet
    return shapes.Statement(
        number=traced.index + 1,
        sid=traced.sid,
        effect=traced.effect,
        applied=traced.applied,
        decides=said.decides,
        reach=traced.reach.name.lower() if traced.side == "resource" and traced.applied else "",
        missed=traced.missed,
        unmet=None
        if unmet is None
        else shapes.Unmet(
            operator=unmet.operator, key=unmet.key, wanted=unmet.wanted, given=unmet.given or (), is_absent=unmet.given is None
        ),
        begin_line=place.begin.line if place is not None else 0,
        begin_column=place.begin.column if place is not None else 0,
        end_line=place.end.line if place is not None else 0,
        end_column=place.end.column if place is not None else 0,
        text=said.text,
    )


def _remedy_shape(remedy: Remedy) -> shapes.Remedy:
    return shapes.Remedy(
        side=remedy.side,
        verb=remedy.verb,
        holder_arn=remedy.holder_arn,
        account_id=remedy.account_id,
        policy_name=remedy.policy_name,
        statement=remedy.statement,
        words=remedy.words,
    )
