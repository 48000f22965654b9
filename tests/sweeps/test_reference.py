"""Every operation has policies asked about what AWS's service authorisation reference says: its action, resource types, condition keys.

A new operation fails here until it declares as much, or until it stands in one of the tables below with a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from longshore.aws.operation import OWN_PREFIX
from longshore.gateway.catalogue import served
from tests.sweeps.asking import Asked, Asker, asker_of
from tests.sweeps.fuller import fuller
from tests.sweeps.installation import OPERATIONS, House
from tests.sweeps.reference import Action, action_of, keys_of_type, types_of
from tests.sweeps.samples import sample

#: actions that AWS's models have and its reference has not (yet) -> what says so
NEWER = {
    "ecs:ContinueServiceDeployment": "newer than the reference",
    **dict.fromkeys(
        (f"ecr:{name}ReplicationBackfill{more}" for name, more in (("Start", ""), ("Stop", ""), ("List", "s"), ("Describe", "Results"))),
        "newer than the reference",
    ),
    "acm:ListCertificateDomainValidations": "newer than the reference",
    **dict.fromkeys(("acm:TagResource", "acm:UntagResource", "acm:ListTagsForResource"), "newer than the reference"),
}
#: asked about more narrowly than the reference has it, where policies written for AWS's `*` hold as well
NARROWER = {
    "ecs:DiscoverPollEndpoint": "an instance asks for itself alone",
    "iam:ListServerCertificates": "as the other listings of IAM",
    # AWS's own refusals name the path of what is listed
    **{f"iam:List{name}": "AWS's refusals name the path" for name in ("Users", "Groups", "Roles", "Policies", "InstanceProfiles")},
}
#: the reference names several types, of which a request names one
ONE_OF = frozenset({"iam:GenerateServiceLastAccessedDetails", "iam:ListPoliciesGrantingServiceAccess"})
_NO_LAUNCH_TEMPLATES = "there are no launch templates"
_NO_POOLS = "there are no pools of addresses"
_NOT_SET = "no operation that sets attributes is served"
_NO_PROVIDER = "the providers AWS knows by name are none here; what another provider says has its own keys"
_NO_SAML = "there is no SAML"
_NO_DEVICE = "devices are virtual ones: security keys cannot be registered"
#: condition keys that nothing here ever has -> why
NEVER = {
    "ecs:instance-metadata-tags-propagation": "of ECS Managed Instances, which are not offered",
    "ec2:islaunchtemplateresource": _NO_LAUNCH_TEMPLATES,
    "ec2:launchtemplate": _NO_LAUNCH_TEMPLATES,
    "ec2:ipv4ipampoolid": _NO_POOLS,
    "ec2:ipv6ipampoolid": _NO_POOLS,
    "ec2:attribute": _NOT_SET,
    "ec2:attribute/": _NOT_SET,
    "secretsmanager:resource/": "secrets are not rotated, and none is managed by somebody else",
    "secretsmanager:secretprimaryregion": "secrets have no replicas",
    **dict.fromkeys((f"iam:fido-{name}" for name in ("certification", "fips-140-2-certification", "fips-140-3-certification")), _NO_DEVICE),
    "iam:registersecuritykey": _NO_DEVICE,
    **dict.fromkeys((f"accounts.google.com:{claim}" for claim in ("aud", "oaud", "sub")), _NO_PROVIDER),
    **dict.fromkeys((f"cognito-identity.amazonaws.com:{claim}" for claim in ("amr", "aud", "sub")), _NO_PROVIDER),
    **dict.fromkeys(("graph.facebook.com:app_id", "graph.facebook.com:id"), _NO_PROVIDER),
    **dict.fromkeys(("www.amazon.com:app_id", "www.amazon.com:user_id"), _NO_PROVIDER),
    **dict.fromkeys(("saml:namequalifier", "saml:sub", "saml:sub_type"), _NO_SAML),
}
_NO_ID_YET = "what is created has no id before it is allowed"
#: (action, condition key) -> why it is not there although others have it
NOT_HERE = {
    **dict.fromkeys(
        (("ecs:CreateCapacityProvider", "ecs:propagate-tags"), ("ecs:UpdateCapacityProvider", "ecs:propagate-tags")), "as above"
    ),
    ("ecr:ListTagsForResource", "aws:requesttag/"): "nothing is tagged by listing",
    ("ecr:ListTagsForResource", "aws:tagkeys"): "nothing is tagged by listing",
    ("elasticloadbalancing:RemoveTags", "aws:requesttag/"): "tags are removed by their keys",
    ("ec2:CreateSecurityGroup", "ec2:securitygroupid"): _NO_ID_YET,
    ("ec2:CreateSubnet", "ec2:subnetid"): _NO_ID_YET,
    ("ec2:CreateVpc", "ec2:vpcid"): _NO_ID_YET,
}
#: asked about on what is not there (any more) -> what that is
ON_WHAT_IS_GONE = {"iam:GetServiceLinkedRoleDeletionStatus": "the role that was deleted", "ssm:GetParametersByPath": "a path"}


class Everything(NamedTuple):
    asker: Asker
    #: action -> all that any operation has policies asked about it
    by_action: Mapping[str, list[Asked]]


@pytest.fixture(scope="session")
def everything(house: House) -> Everything:
    asker, by_action = asker_of(house), defaultdict[str, list[Asked]](list)
    for api, name in OPERATIONS:
        if served(api).operations[name].identify is not None and name != "AssumeRole":
            continue  # who asks is known by what is asked: tests of its own tell what of
        for parameters in (sample(house, api, name), *fuller(house, api, name)):
            for asked in asker.asked(api, name, parameters):
                by_action[asked.action].append(asked)
    return Everything(asker, by_action)


def guarded() -> list[tuple[str, Action]]:
    """Every action that some operation asks for and the reference knows."""
    actions = dict.fromkeys(served(api).operations[name].action for api, name in OPERATIONS)
    return [(action, known) for action in actions if action and (known := action_of(action)) is not None]


every_action = pytest.mark.parametrize(("action", "known"), guarded(), ids=lambda each: each if isinstance(each, str) else "")


def test_actions_are_those_of_the_reference() -> None:
    unknown = set()
    for api, name in OPERATIONS:
        action = served(api).operations[name].action
        if action and action_of(action) is None and not name.startswith(OWN_PREFIX):
            unknown.add(action)
    assert unknown == set(NEWER)


@every_action
def test_resources_are_of_the_types_that_the_reference_names(everything: Everything, action: str, known: Action) -> None:
    asked = everything.by_action[action]
    if not asked:
        assert action == "sts:AssumeRoleWithWebIdentity"
        return
    prefix = action.partition(":")[0]
    if action in NARROWER:
        assert all(each.resource == "*" or each.resource.startswith(f"arn:aws:{prefix}:") for each in asked)
        return
    seen = {_family(type_) for each in asked for type_ in types_of(prefix, each.resource)}
    strange = [each.resource for each in asked if each.resource != "*" and not types_of(prefix, each.resource)]
    assert not strange, "of no type that the reference has"
    assert seen <= {_family(type_) for type_ in known.types}, "types that the reference does not name for it"
    missing = {_family(type_) for type_, required in known.types.items() if required} - seen
    assert not missing or (seen and action in ONE_OF), "types that a request always names"
    if not known.types:
        assert {each.resource for each in asked} == {"*"}


def _family(type_: str) -> str:
    """Listeners of one kind of load balancer or another: a request names one of them."""
    return type_.partition("/")[0]


@every_action
def test_conditions_may_ask_for_every_key_that_the_reference_lists(everything: Everything, action: str, known: Action) -> None:
    asked = everything.by_action[action]
    if not asked:
        return
    prefix = action.partition(":")[0]
    wanted, told = set(known.keys), {key for each in asked for key in each.keys}
    present = [each.resource for each in asked if everything.asker.is_there(each.resource)]
    for resource in present:
        for type_ in types_of(prefix, resource):
            wanted |= keys_of_type(prefix, type_)
    if not present:  # tags of what is only about to be there, or of everything at once
        wanted = {key for key in wanted if not key.endswith(":resourcetag/")}
    if action in ("ec2:CreateTags", "ec2:DeleteTags"):  # the reference lists the keys of everything that EC2 has
        ours = {f"ec2:{key}" for key in ("region", "resourcetag/", "vpcid", "tenancy", *(("createaction",) if "Create" in action else ()))}
        wanted = {key for key in wanted if key.startswith("aws:") or key in ours}
    missing = {key for key in wanted - told if key not in NEVER and (action, key) not in NOT_HERE}
    assert not missing


def test_no_exception_has_outlived_its_reason(everything: Everything) -> None:
    told = {key for asked in everything.by_action.values() for each in asked for key in each.keys}
    assert not told & set(NEVER)
    for action, key in NOT_HERE:
        assert key not in {key for each in everything.by_action[action] for key in each.keys}, (action, key)
    for action in ON_WHAT_IS_GONE:
        assert not any(everything.asker.is_there(each.resource) for each in everything.by_action[action])
    assert set(NARROWER) <= set(everything.by_action)
