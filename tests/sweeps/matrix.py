"""Which operations the sweep tries as whom: the cells of the authorisation matrix, counted.

Each case names its test in test_authorisation.py and the operations it is run for; the tests take their operations from here, and
docs/authorisation-matrix.md has the counts. `tools/authorisation_matrix.py` writes it.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from longshore.gateway.catalogue import SERVED, served
from tests.sweeps.doors import REGISTRY, SIGNED
from tests.sweeps.installation import OPERATIONS, operation_model
from tests.sweeps.test_doors import CASES as AT_DOORS
from tests.sweeps.vouching import BY_TOKEN

Operation = tuple[str, str]
PAGE = "docs/authorisation-matrix.md"

#: the operations that need no permission
FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
SIGNED_ONES = [each for each in OPERATIONS if each not in BY_TOKEN]
GUARDED = [each for each in OPERATIONS if each not in FREE | BY_TOKEN]
REGIONAL = [(api, name) for api, name in OPERATIONS if not served(api).model.global_endpoint]


def _is_shared(api: str, name: str) -> bool:
    """What acts on something that has a policy of its own, and may be named by others."""
    if (api, name) == ("sts", "AssumeRole"):
        return True
    shape = operation_model(api, name).input_shape
    named = set(shape.members) if shape is not None else set()
    return api == "ecr" and {"registryId", "repositoryName"} <= named and name != "CreateRepository"


SHARED = [each for each in OPERATIONS if _is_shared(*each)]


class Case(NamedTuple):
    asked_as: str
    outcome: str
    operations: list[Operation]
    #: in test_authorisation.py
    test: str


_UNSIGNED, _WORN_OUT = "test_who_does_not_sign_rightly_is_refused", "test_a_key_or_a_session_that_is_no_longer_good_is_refused"
_LIMITED = "test_a_session_has_no_more_than_the_roles_boundary_and_its_own_policies_leave"
_SHARED = "test_what_a_resources_own_policy_lets_another_account_do_is_done_and_nothing_else"
CASES = (
    Case("nobody: no credentials", "refused", SIGNED_ONES, _UNSIGNED),
    Case("a wrong signature", "refused", OPERATIONS, _UNSIGNED),
    Case("a key that there is not", "refused", OPERATIONS, _UNSIGNED),
    Case("another body than was signed", "refused", OPERATIONS, _UNSIGNED),
    Case("a signature of yesterday", "refused", OPERATIONS, _UNSIGNED),
    Case("a disabled key", "refused", OPERATIONS, _WORN_OUT),
    Case("a session that has ended", "refused", OPERATIONS, _WORN_OUT),
    Case("a session without its token", "refused", OPERATIONS, _WORN_OUT),
    Case("a user without a policy", "denied", GUARDED, "test_a_user_without_a_policy_is_denied_and_changes_nothing"),
    Case("a user whom a policy denies it", "denied", GUARDED, "test_a_deny_wins_over_an_allow_of_everything"),
    Case("a session whose own policy denies it", "denied", GUARDED, _LIMITED),
    Case("a session beyond its role's boundary", "denied", GUARDED, _LIMITED),
    Case("a user allowed it on other resources", "denied", GUARDED, "test_rights_on_anything_else_do_not"),
    Case("a user denied it, by other names", "denied", GUARDED, "test_no_spelling_of_a_name_gets_round_a_deny"),
    Case("a user with exactly its rights", "allowed", OPERATIONS, "test_exactly_the_rights_that_refusals_name_let_a_user_in"),
    Case("the root", "allowed", OPERATIONS, "test_the_root_may"),
    Case("another account", "sees and changes nothing", OPERATIONS, "test_another_account_neither_sees_nor_changes_this_ones"),
    Case("another account, on what is shared", "refused without the policy, allowed with it", SHARED, _SHARED),
    Case("another Region", "sees and changes nothing", REGIONAL, "test_another_region_neither_sees_nor_changes_this_ones"),
)


def page() -> str:
    apis = [api for api in SERVED if any(api == each for each, _ in OPERATIONS)]
    counted = [Counter(api for api, _ in case.operations) for case in CASES]
    lines = [
        "# Who may not, tried",
        "",
        "Every operation of every API, of AWS's and of our own, is asked for as each of these; a cell is one request, or several alike,",
        "in a test of `tests/sweeps/test_authorisation.py`. `tools/authorisation_matrix.py` writes this page, and a test keeps it fresh.",
        "",
        "| asked for by | outcome | " + " | ".join(apis) + " | all |",
        "|---|---|" + "--:|" * (len(apis) + 1),
    ]
    for case, by_api in zip(CASES, counted, strict=True):
        cells = " | ".join(str(by_api[api] or "") for api in apis)
        lines.append(f"| {case.asked_as} | {case.outcome} | {cells} | {len(case.operations)} |")
    sums = [sum(by_api[api] for by_api in counted) for api in apis]
    lines.append("| **cells** | | " + " | ".join(map(str, sums)) + f" | **{sum(sums)}** |")
    operations = Counter(api for api, _ in OPERATIONS)
    lines.append("| **operations** | | " + " | ".join(str(operations[api]) for api in apis) + f" | **{len(OPERATIONS)}** |")
    lines += [
        "",
        "Refused: whoever asks is not known. Denied: known, and no policy allows it, in AWS's words with principal, action and resource.",
        "Nothing is written by a request that is refused or denied. Which operations come without a signature: "
        + ", ".join(f"`{api}:{name}`" for api, name in sorted(BY_TOKEN))
        + ".",
        "",
        "## Doors that are no operation",
        "",
        f"{len(SIGNED)} routes and sockets beside the APIs are opened by a signature; each is tried as {len(AT_DOORS)} callers",
        f"({', '.join(AT_DOORS)}), {len(SIGNED) * len(AT_DOORS)} cells, by `tests/sweeps/test_doors.py`: "
        + ", ".join(f"`{door.name}`" for door in SIGNED)
        + ".",
        "A path that the server mounts and that stands in none of the tables there fails a test.",
        f"The registry's {len(REGISTRY)} routes and methods (`/v2/`) are tried there without a token, with guessed and broken ones, with a",
        "disabled key's, without rights and from another account; `test_registry_paths.py` and `test_registry_permissions.py` go on.",
        "",
    ]
    return "\n".join(lines)
