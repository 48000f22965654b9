"""How the people of the swept account sign in: passwords, devices, identity providers, and the account's settings for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from longshore.control.reports.controller import Reports
from longshore.kit.clock import SteppedClock
from longshore.services.iam.devices import MFA_DEVICES, MfaDevice, code_at, step_of
from longshore.services.iam.passwords import Cost, hash_password
from longshore.services.iam.sign_in import LOGIN_PROFILES, LoginProfile

if TYPE_CHECKING:
    from tests.sweeps.installation import Installation

#: of every device here, so that samples know its codes
SEED = b"0123456789012345678901234567890123456789"
PASSWORD, ALIAS = "Password-of-old-1", "harbour"
_TEAM = [{"Key": "team", "Value": "edge"}]


def codes(steps_from_now: int = 0) -> dict[str, str]:
    """Two in a row, of the half minute when the house was furnished or of some after it."""
    first = step_of(SteppedClock().now()) + steps_from_now
    return {"AuthenticationCode1": code_at(SEED, first), "AuthenticationCode2": code_at(SEED, first + 1)}


async def sign_in(there: Installation, names: dict[str, str]) -> None:
    for name in ("device", "idle_device"):
        made = await there.done("iam", "CreateVirtualMFADevice", VirtualMFADeviceName=name, Path="/people/", Tags=_TEAM)
        names[name] = serial = made["VirtualMFADevice"]["SerialNumber"]
        device = there.store.get(MFA_DEVICES, serial)
        assert device is not None
        known: MfaDevice = replace(device, seed=SEED)
        await there.store.transact(lambda tx, known=known: tx.put(MFA_DEVICES, known))  # type: ignore[misc]
    await there.done("iam", "EnableMFADevice", UserName="bob", SerialNumber=names["device"], **codes(-20))
    account = names["device"].split(":")[4]
    # as cheap as can be: every request begins with a copy of all this
    password = hash_password(PASSWORD, b"salt", Cost(2, 1, 1))
    for user in ("ann", "bob"):
        arn = f"arn:aws:iam::{account}:user/{user}"
        profile = LoginProfile(account, arn, there.clock.now(), password, there.clock.now())
        await there.store.transact(lambda tx, profile=profile: tx.put(LOGIN_PROFILES, profile))  # type: ignore[misc]
    await there.done("iam", "UpdateAccountPasswordPolicy", MinimumPasswordLength=8)
    await there.done("iam", "CreateAccountAlias", AccountAlias=ALIAS)
    provider = {"Url": "https://id.example/people", "ClientIDList": ["web"], "ThumbprintList": ["0" * 40], "Tags": _TEAM}
    names["provider_arn"] = (await there.done("iam", "CreateOpenIDConnectProvider", **provider))["OpenIDConnectProviderArn"]
    await there.done("iam", "GenerateCredentialReport")
    names["access_job"] = (await there.done("iam", "GenerateServiceLastAccessedDetails", Arn=names["role"]))["JobId"]
    reports = Reports(there.store, there.clock)
    for key in reports.keys():
        await reports.reconcile(key)


def people_named(names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "SerialNumber": names["device"],
        "Password": "Another-password-1",
        "AccountAlias": ALIAS,
        "OpenIDConnectProviderArn": names["provider_arn"],
        "ClientID": "web",
        "ThumbprintList": ["1" * 40],
        "Arn": names["role"],
        "JobId": names["access_job"],
        "ServiceNamespace": "ecs",
        "ServiceNamespaces": ["ecs", "ecr"],
        **codes(),
    }


def people_more(names: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    idle_device, tags, keys = {"SerialNumber": names["idle_device"]}, [{"Key": "a", "Value": "b"}], ["team"]
    return {
        ("iam", "CreateVirtualMFADevice"): {"VirtualMFADeviceName": "telephone", "Path": "/people/", "Tags": _TEAM},
        ("iam", "DeleteVirtualMFADevice"): idle_device,
        ("iam", "EnableMFADevice"): idle_device,
        ("iam", "DeactivateMFADevice"): {"UserName": "bob"},
        ("iam", "ListMFADevices"): {"UserName": "bob"},
        ("iam", "ListSSHPublicKeys"): {"UserName": "bob"},
        ("iam", "ListSigningCertificates"): {"UserName": "bob"},
        ("iam", "ListServiceSpecificCredentials"): {"UserName": "bob", "ServiceName": "bedrock.amazonaws.com"},
        ("iam", "GetMFADevice"): {"UserName": "bob"},
        ("iam", "TagMFADevice"): {"Tags": tags},
        ("iam", "UntagMFADevice"): {"TagKeys": keys},
        ("iam", "CreateLoginProfile"): {"UserName": "carol", "Password": "Another-password-1"},
        ("iam", "GetLoginProfile"): {"UserName": "bob"},
        ("iam", "UpdateLoginProfile"): {"UserName": "bob", "PasswordResetRequired": True},
        ("iam", "DeleteLoginProfile"): {"UserName": "bob"},
        ("iam", "ChangePassword"): {"OldPassword": PASSWORD, "NewPassword": "Another-password-1"},
        ("iam", "UpdateAccountPasswordPolicy"): {"MinimumPasswordLength": 12, "MaxPasswordAge": 90, "PasswordReusePrevention": 5},
        ("iam", "CreateAccountAlias"): {"AccountAlias": "pier"},
        ("iam", "CreateOpenIDConnectProvider"): {"Url": "https://id.example/others", "ClientIDList": ["web"], "Tags": tags},
        ("iam", "TagOpenIDConnectProvider"): {"Tags": tags},
        ("iam", "UntagOpenIDConnectProvider"): {"TagKeys": keys},
        ("iam", "SetSecurityTokenServicePreferences"): {"GlobalEndpointTokenVersion": "v2Token"},
    }
