"""Every served operation, asked by all who may not: nobody, strangers, people without rights, people with other rights.

Which rights an operation needs is read off its refusals: a user is given exactly what they name, one after the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.gateway.catalogue import served
from longshore.kit.resource import Kind
from longshore.services.iam import model as iam
from tests.sweeps.installation import (
    ELSEWHERE,
    OPERATIONS,
    OWNER,
    REGION,
    ROOT,
    STRANGER,
    STRANGERS_ROOT,
    USER,
    USER_ARN,
    Answer,
    House,
    Installation,
    Keys,
    written,
)
from tests.sweeps.matrix import FREE, GUARDED, REGIONAL, SHARED
from tests.sweeps.samples import least, sample
from tests.sweeps.vouching import BY_TOKEN

#: what needs another permission than its own name: as AWS documents, or because policies for its agent know no other
OTHERWISE = {
    ("ecr", "ListImageReferrers"): "ecr:BatchGetImage",
    # what reports the end of a task reports why, too
    ("ecs", "LongshoreSubmitTaskRecord"): "ecs:SubmitTaskStateChange",
}
#: operations that have nothing to answer but a refusal, which those hear who may ask
REFUSES = {
    ("ecs", "UpdateContainerAgent"): "MissingVersionException",
    ("ecs", "ListServicesByNamespace"): "NamespaceNotFoundException",
    # one task on one instance lies well
    ("ecs", "LongshoreStartRebalance"): "ClientException",
    ("ecs", "LongshoreStopRebalance"): "InvalidParameterException",
    # the root has no password here
    ("iam", "ChangePassword"): "InvalidUserType",
    # whoever asked for a report is told it, and nobody else
    ("iam", "GetServiceLastAccessedDetails"): "NoSuchEntity",
    ("iam", "GetServiceLastAccessedDetailsWithEntities"): "NoSuchEntity",
    # nothing is shared between accounts
    ("elbv2", "GetResourcePolicy"): "ResourceNotFound",
    ("elbv2", "DeleteSharedTrustStoreAssociation"): "DeleteAssociationSameAccount",
}
#: what is told to other accounts: whoever has the token is who it says, and a key's account is read off it
TELLS = BY_TOKEN | {("sts", "GetAccessKeyInfo")}
#: what an operation may ask for beside its own action: it hands over a role, or will do something else on the caller's behalf
FURTHER = (
    *("ecs:LongshoreActForContainerInstance", "iam:PassRole", "sts:TagSession"),
    *("ecr:CreateRepository", "secretsmanager:GetSecretValue", "elasticloadbalancing:AddTags"),
)
#: IAM's own prefix where it is not the folder's name
PREFIXES = {"elbv2": "elasticloadbalancing", "elb": "elasticloadbalancing"}
_DENIED = {"json": ("AccessDeniedException", 400), "query": ("AccessDenied", 403), "ec2": ("UnauthorizedOperation", 403)}
#: codes for requests without a signature, with one that does not hold, and by a key that nobody has
_UNKNOWN = {
    *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
    *("SignatureDoesNotMatch", "InvalidSignatureException"),
    *("InvalidClientTokenId", "UnrecognizedClientException"),
    "AuthFailure",
}
_REFUSAL = re.compile(
    r"(?:You are not authorized to perform this operation\. )?"
    r"User: (\S+) is not authorized to perform: (\S+) on resource: (\S+) (because no|with an explicit deny in an) identity-based"
)
#: rounds of asking and being given a right; passing two roles and creating something takes three
_MOST_RIGHTS = 8


def each_of(operations: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("api", "operation"), operations, ids=[f"{api}:{operation}" for api, operation in operations])


every_operation = each_of(OPERATIONS)
every_guarded_operation = each_of(GUARDED)
every_regional_operation = each_of(REGIONAL)
every_shared_operation = each_of(SHARED)


@pytest.fixture
async def wired(there: Installation) -> AsyncIterator[Installation]:
    """The same, asked over a socket."""
    async with there.over_http():
        yield there


def statement(effect: str, action: str, *resources: str) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": list(resources)}


def refused_right(answer: Answer) -> tuple[str, str]:
    """(action, resource) that a refusal names."""
    found = _REFUSAL.match(answer.message)
    assert found is not None, answer.message
    assert found[1] == USER_ARN
    return found[2], found[3]


async def rights_for(there: Installation, api: str, operation: str, parameters: Mapping[str, Any]) -> tuple[list[tuple[str, str]], Answer]:
    """What the user had to be given, and the answer once it had all that."""
    rights: list[tuple[str, str]] = []
    while True:
        answer = await there.ask(api, operation, parameters, USER)
        if not answer.denied:
            return rights, answer
        right = refused_right(answer)
        assert right not in rights, f"{right} was given and is still missed"
        rights.append(right)
        assert len(rights) <= _MOST_RIGHTS, rights
        await there.allow(*(statement("Allow", action, resource) for action, resource in rights))


# ── what all of them declare ────────────────────────────────────────────────────────────────────────────────────────


@every_operation
def test_it_declares_its_action_and_its_resource(api: str, operation: str) -> None:
    declared = served(api).operations[operation]
    assert callable(declared.resource)
    own = "" if (api, operation) in FREE else f"{PREFIXES.get(api, api)}:{operation}"
    assert declared.action == OTHERWISE.get((api, operation), own)


@every_operation
async def test_the_root_may(there: Installation, house: House, api: str, operation: str) -> None:
    answer = await there.ask(api, operation, sample(house, api, operation))
    assert answer.status == 200 or answer.code == REFUSES.get((api, operation)), f"{answer.code}: {answer.message}"


# ── who is not known ────────────────────────────────────────────────────────────────────────────────────────────────


@every_operation
async def test_who_does_not_sign_rightly_is_refused(wired: Installation, house: House, api: str, operation: str) -> None:
    body, headers = written(api, operation, sample(house, api, operation))
    before = wired.store.revision
    unsigned = () if (api, operation) in BY_TOKEN else (None,)
    for keys in (*unsigned, Keys(ROOT.access_key_id, "another secret"), Keys("AKIANOBODYNOBODYNOBO", ROOT.secret)):
        answer = await wired.send(api, operation, body, headers, keys)
        assert answer.status in (400, 401, 403)
        assert answer.code in _UNKNOWN, answer.code
    for sent, skew_s, why in ((body + b" ", 0.0, "another body than the one that was signed"), (body, -86_400.0, "signed a day ago")):
        answer = await wired.send(api, operation, sent, headers | wired.signed(api, body, headers, ROOT, REGION, skew_s), None)
        assert answer.status in (400, 401, 403), why
    assert wired.store.revision == before


@every_operation
async def test_a_key_or_a_session_that_is_no_longer_good_is_refused(there: Installation, house: House, api: str, operation: str) -> None:
    body, headers = written(api, operation, sample(house, api, operation))
    key = there.store.get(iam.ACCESS_KEYS, USER.access_key_id)
    assert key is not None
    session = await session_of(there, house, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement("Allow", "*", "*")]}))
    await there.store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, replace(key, status="Inactive")))
    await there.clock.step(3600)
    before = there.store.revision
    for keys, codes in (
        (USER, _UNKNOWN),
        (session, {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}),
        (Keys(session.access_key_id, session.secret), _UNKNOWN),
    ):
        answer = await there.send(api, operation, body, headers, keys)
        assert answer.status in (400, 401, 403)
        assert answer.code in codes, answer.code
    assert there.store.revision == before


async def session_of(there: Installation, house: House, **more: Any) -> Keys:
    """A session of the house's role, begun by the root of its account."""
    asked = {"RoleArn": house.names["role"], "RoleSessionName": "sweep", **more}
    given = (await there.done("sts", "AssumeRole", **asked))["Credentials"]
    return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


# ── who has no right ────────────────────────────────────────────────────────────────────────────────────────────────


@every_guarded_operation
async def test_a_user_without_a_policy_is_denied_and_changes_nothing(wired: Installation, house: House, api: str, operation: str) -> None:
    before = wired.store.revision
    answer = await wired.ask(api, operation, sample(house, api, operation), USER)
    assert (answer.code, answer.status) == _DENIED[served(api).model.protocol]
    action, _ = refused_right(answer)
    assert action == served(api).operations[operation].action
    assert wired.store.revision == before


@every_guarded_operation
async def test_a_session_has_no_more_than_the_roles_boundary_and_its_own_policies_leave(
    there: Installation, house: House, api: str, operation: str
) -> None:
    def document(*statements: Mapping[str, Any]) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

    everything = statement("Allow", "*", "*")
    arn, action = house.names["role"], served(api).operations[operation].action
    role = next(iter(there.store.list(iam.ROLES, "arn", arn)))

    inline = iam.InlinePolicy(arn, "inline", document(everything))
    unbound = replace(role, boundary_arn="")
    await there.store.transact(lambda tx: [tx.put(iam.INLINE_POLICIES, inline), tx.put(iam.ROLES, unbound)])
    limited = await session_of(there, house, Policy=document(everything, statement("Deny", action, "*")))
    whole = await session_of(there, house)
    await there.store.transact(lambda tx: tx.put(iam.ROLES, role))
    before = there.store.revision
    parameters = sample(house, api, operation)
    answer = await there.ask(api, operation, parameters, limited)
    assert answer.denied and "with an explicit deny in a session policy" in answer.message
    answer = await there.ask(api, operation, parameters, whole)
    assert answer.denied and "because no permissions boundary allows" in answer.message
    assert there.store.revision == before


@every_guarded_operation
async def test_a_deny_wins_over_an_allow_of_everything(there: Installation, house: House, api: str, operation: str) -> None:
    action = served(api).operations[operation].action
    await there.allow(statement("Allow", "*", "*"), statement("Deny", action, "*"))
    before = there.store.revision
    answer = await there.ask(api, operation, sample(house, api, operation), USER)
    assert answer.denied
    assert "with an explicit deny in an identity-based policy" in answer.message
    assert there.store.revision == before


@every_operation
async def test_exactly_the_rights_that_refusals_name_let_a_user_in(there: Installation, house: House, api: str, operation: str) -> None:
    rights, answer = await rights_for(there, api, operation, sample(house, api, operation))
    assert answer.status == 200 or answer.code == REFUSES.get((api, operation)), f"{answer.code}: {answer.message}"
    assert rights or (api, operation) in FREE | BY_TOKEN
    for action, resource in rights:
        assert action in (served(api).operations[operation].action, *FURTHER, f"{api}:TagResource"), rights
        assert resource == "*" or resource.split(":")[4] == OWNER, rights


@every_guarded_operation
async def test_rights_on_anything_else_do_not(there: Installation, house: House, api: str, operation: str) -> None:
    parameters = sample(house, api, operation)
    refused = await there.ask(api, operation, parameters, USER)
    action, resource = refused_right(refused)
    parts = resource.split(":", 5)
    others = (
        [f"arn:aws:{service}:{REGION}:{OWNER}:*" for service in ("ecs", "ec2", "iam")]
        if resource == "*"
        else [f"{resource}x", resource[:-1], resource.replace(OWNER, "999999999999"), ":".join((*parts[:5], "other/*"))]
    )
    await there.allow(statement("Allow", action, *others), statement("Allow", f"{action}Not", "*"))
    before = there.store.revision
    answer = await there.ask(api, operation, parameters, USER)
    assert answer.denied
    assert refused_right(answer) == (action, resource)
    assert there.store.revision == before


@every_guarded_operation
async def test_no_spelling_of_a_name_gets_round_a_deny(there: Installation, house: House, api: str, operation: str) -> None:
    """What may be called by several names is one thing to whoever wrote the policy."""
    for parameters in (sample(house, api, operation), *(of_other_types(house, operation) if api == "ecs" else ())):
        await check_spellings(there, house, api, operation, parameters)


async def check_spellings(there: Installation, house: House, api: str, operation: str, parameters: Mapping[str, Any]) -> None:
    await there.allow()
    rights, _ = await rights_for(there, api, operation, parameters)
    action = served(api).operations[operation].action
    guarded = [resource for allowed, resource in rights if resource != "*" and allowed == action]
    for spelt in spellings(parameters) if guarded else ():
        async with Installation.restored(house.rows, house.blobs) as again:
            await again.allow(statement("Allow", "*", "*"), *(statement("Deny", action, resource) for resource in guarded))
            kept = again.rows()
            answer = await again.ask(api, operation, spelt, USER)
            changed = [row for _, row in changes(kept, again)]
        assert answer.status < 500
        if answer.status == 200:
            values = re.split('["<>]', answer.body.decode())
            assert not [resource for resource in guarded if resource in values], spelt
            assert not [row for row in changed if row_arn(row) in guarded], spelt


def of_other_types(house: House, operation: str) -> list[dict[str, Any]]:
    """Operations on tags take ARNs of every type."""
    if operation not in ("TagResource", "UntagResource", "ListTagsForResource"):
        return []
    more = {"TagResource": {"tags": [{"key": "a", "value": "c"}]}, "UntagResource": {"tagKeys": ["a"]}}.get(operation, {})
    return [{"resourceArn": house.names[name], **more} for name in ("cluster", "task", "instance", "definition", "provider")]


def changes(before: Mapping[Kind[Any], list[Any]], there: Installation) -> list[tuple[Kind[Any], Any]]:
    """Rows from before that are not there any more as they were, when a key was last used apart."""
    return [
        (kind, row)
        for kind, rows in before.items()
        for row in rows
        if kind.name != "iam.access_key_use" and there.store.get(kind, kind.key(row)) != row
    ]


def row_arn(row: Any) -> str:
    return str(getattr(row, "arn", ""))


def spellings(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same request with one of its names spelt in another way."""
    for member, value in parameters.items():
        if isinstance(value, str):
            for spelt in _spelt(value):
                yield {**parameters, member: spelt}
        elif isinstance(value, list) and value and isinstance(value[0], str):
            for spelt in _spelt(value[0]):
                yield {**parameters, member: [spelt, *value[1:]]}
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for below in spellings(value[0]):
                yield {**parameters, member: [below, *value[1:]]}


def _spelt(text: str) -> Iterator[str]:
    yield text.upper()
    yield f" {text}"
    yield f"{text} "
    if not text.startswith("arn:"):
        family, colon, revision = text.partition(":")
        if colon and revision.isdigit():
            yield f"{family}:0{revision}"
            for service in ("ecs", "ecr"):
                yield f"arn:aws:{service}:{REGION}:{OWNER}:task-definition/{text}"
        for type in ("cluster", "service", "service/main", "task-definition", "repository"):
            yield f"arn:aws:ecs:{REGION}:{OWNER}:{type}/{text}"
            yield f"arn:aws:ecs:{REGION}:{OWNER}:{type}:{text}"
        return
    start, _, resource = text.rpartition(f"{OWNER}:")
    start += f"{OWNER}:"
    first, *rest = resource.split("/")
    last = rest[-1] if rest else ""
    yield text.replace("arn:aws:", "arn:aws-cn:")
    yield text.replace("/", ":", 1)
    yield text.replace("/", "//", 1)
    yield f"{start}{first}/{last}"
    yield f"{start}{first}/x/{last}"
    yield f"{start}{first}:{last}"
    yield f"{start}{first}/./{'/'.join(rest)}"
    yield last
    family, colon, revision = last.rpartition(":")
    if colon:
        yield f"{start}{first}/{family}:0{revision}"
        yield f"{start}{first}/{family}"
        yield f"{family}:{revision}"


# ── who belongs elsewhere ───────────────────────────────────────────────────────────────────────────────────────────


@every_operation
async def test_another_account_neither_sees_nor_changes_this_ones(there: Installation, house: House, api: str, operation: str) -> None:
    for parameters in (sample(house, api, operation), least(house, api, operation)):
        answer = await there.ask(api, operation, parameters, STRANGERS_ROOT)
        assert answer.status < 500
        assert not changes(house.rows, there)
        if answer.status == 200 and (api, operation) not in TELLS:
            assert_nothing_told(answer, house, parameters)


@every_shared_operation
async def test_what_a_resources_own_policy_lets_another_account_do_is_done_and_nothing_else(
    there: Installation, house: House, api: str, operation: str
) -> None:
    action = served(api).operations[operation].action
    account = {"registryId": OWNER} if api == "ecr" else {}
    asked = sample(house, api, operation) | account
    user, key = iam.User(STRANGER, "zoe", "AIDAZOEZOEZOEZOEZOEZ", 0.0), Keys("AKIAZOEZOEZOEZOEZOEZ", "zoe's own secret")
    row = iam.AccessKey(key.access_key_id, STRANGER, user.arn, key.secret, 0.0)
    await there.store.transact(lambda tx: [tx.put(iam.USERS, user), tx.put(iam.ACCESS_KEYS, row)])

    async def shared(*actions: str) -> None:
        statements = [{"Effect": "Allow", "Principal": {"AWS": STRANGER}, "Action": list(actions)}]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        if api == "ecr":
            await there.done("ecr", "SetRepositoryPolicy", repositoryName=asked["repositoryName"], policyText=document, force=True)
        else:
            await there.done("iam", "UpdateAssumeRolePolicy", RoleName="deploy", PolicyDocument=document)

    others = {"ecr": "ecr:DescribeRepositories" if action != "ecr:DescribeRepositories" else "ecr:ListImages"}
    await shared(others.get(api, "sts:TagSession"))
    before = there.store.revision
    assert (await there.ask(api, operation, asked, STRANGERS_ROOT)).denied
    assert there.store.revision == before
    await shared(action, *(right for right in FURTHER if right.startswith("sts:")) if api == "sts" else (action,))
    assert (await there.ask(api, operation, asked, key)).denied, "at home, too, it must be allowed"
    answer = await there.ask(api, operation, asked, STRANGERS_ROOT)
    assert answer.status < 500 and not answer.denied, f"{answer.code}: {answer.message}"


@every_regional_operation
async def test_another_region_neither_sees_nor_changes_this_ones(there: Installation, house: House, api: str, operation: str) -> None:
    for parameters in (sample(house, api, operation), least(house, api, operation)):
        answer = await there.ask(api, operation, parameters, ROOT, ELSEWHERE)
        assert answer.status < 500
        assert not changes(house.rows, there)
        if answer.status == 200:
            assert_nothing_told(answer, house, parameters, account=False)


def assert_nothing_told(answer: Answer, house: House, parameters: Mapping[str, Any], *, account: bool = True) -> None:
    """No name of the house stands in the answer, but those that stood in the question."""
    body, asked = answer.body.decode(), json.dumps(parameters, default=repr)
    told = [name for name in house.names.values() if name in body and name not in asked]
    if account and OWNER in body and OWNER not in asked:
        told.append(OWNER)
    assert not told, body
