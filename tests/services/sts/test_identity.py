"""GetCallerIdentity tells callers who they are, and asks for no permission."""

from __future__ import annotations

from longshore.services.sts.api import api
from tests.services.iam.wire import ACCOUNT, Account


async def test_the_root_is_told_its_account() -> None:
    answer = await Account().ask("GetCallerIdentity", api="sts")
    assert answer == {"UserId": ACCOUNT, "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}


async def test_a_user_is_told_its_arn_and_id() -> None:
    account = Account()
    user = (await account.ask("CreateUser", UserName="ann", Path="/team/"))["User"]
    answer = await account.as_user(user).ask("GetCallerIdentity", api="sts")
    assert answer == {"UserId": user["UserId"], "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/team/ann"}


def test_no_permission_is_needed() -> None:
    assert api.operations["GetCallerIdentity"].action == ""
