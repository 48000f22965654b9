"""An installation filled with secrets of every kind that can be recognised, and a search for any of them, however it is written."""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from base64 import b32decode, b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from longshore.cli.client import Platform
from longshore.config import Credentials
from tests.services.acm.making import Made

MARK = "Recognisable"
#: too short to be told from anything else are the pieces of PEM at their lines' ends
_LONG_ENOUGH = 24


class Planter:
    """Speaks to one platform as its root, remembers what it was given or gave, and does what fails."""

    def __init__(self, endpoint: str, root: Credentials, ca: Path | None) -> None:
        self._endpoint = endpoint
        self._ca = ca
        self._platform = Platform(endpoint, "us-east-1", root, ca_bundle=str(ca) if ca else None)
        self._root = root
        #: what it is -> how it reads
        self.planted: dict[str, str] = {"the root's secret key": root.secret_access_key}
        self.answers: list[str] = []

    def client(self, service: str, key: str = "", secret: str = "", token: str | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id=key or self._root.access_key_id,
            aws_secret_access_key=secret or self._root.secret_access_key,
            aws_session_token=token,
            verify=str(self._ca) if self._ca else None,
            config=Config(retries={"max_attempts": 0}),
        )

    def plant(self) -> None:
        self._identities()
        self._sessions()
        self._values()
        self._load_balancing()
        self._longshores_own()
        self._failures()

    def describe(self) -> None:
        """Everything that says what there is and is not meant to say a secret."""
        elb, iam = self.client("elbv2"), self.client("iam")
        listeners = elb.describe_listeners(LoadBalancerArn=elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"])
        self.answers += [
            repr(answer)
            for answer in (
                listeners,
                iam.list_access_keys(UserName="eve"),
                iam.get_account_authorization_details(),
                iam.list_server_certificates(),
                iam.get_server_certificate(ServerCertificateName="web"),
                iam.list_virtual_mfa_devices(),
                iam.get_login_profile(UserName="eve"),
                self.client("acm").list_certificates(),
                self.client("acm").get_certificate(CertificateArn=self._certificate),
                self.client("secretsmanager").list_secrets(),
                self.client("secretsmanager").describe_secret(SecretId="db"),
                self.client("ssm").describe_parameters(),
                self.client("ssm").get_parameter(Name="db", WithDecryption=False),
                self.client("cloudtrail").lookup_events(MaxResults=50),
                self._own("ecr", "LongshoreDescribeRemoteRegistries", {}),
                self._own("ecs", "LongshoreListActivations", {}),
                b"".join(self._platform.own("GET", "keys")),
                b"".join(self._platform.own("GET", "accounts")),
            )
        ]

    def _identities(self) -> None:
        iam = self.client("iam")
        iam.create_user(UserName="eve")
        self.key = iam.create_access_key(UserName="eve")["AccessKey"]
        self.planted["a user's secret key"] = self.key["SecretAccessKey"]
        password = f"{MARK}-Passw0rd-of-eve"
        iam.create_login_profile(UserName="eve", Password=password)
        self.planted["a password"] = password
        seed = iam.create_virtual_mfa_device(VirtualMFADeviceName="telephone")["VirtualMFADevice"]["Base32StringSeed"]
        self.planted["the seed of a device"] = seed.decode() if isinstance(seed, bytes) else seed
        made = Made("web.example", time.time())
        iam.upload_server_certificate(ServerCertificateName="web", CertificateBody=made.pem.decode(), PrivateKey=made.key.decode())
        self.planted["the key of a server certificate"] = made.key.decode()
        made = Made("acm.example", time.time())
        self._certificate = self.client("acm").import_certificate(Certificate=made.pem, PrivateKey=made.key)["CertificateArn"]
        self.planted["the key of an imported certificate"] = made.key.decode()

    def _sessions(self) -> None:
        given = self.client("sts", self.key["AccessKeyId"], self.key["SecretAccessKey"]).get_session_token()["Credentials"]
        self.planted["a session's secret key"] = given["SecretAccessKey"]
        self.planted["a session's token"] = given["SessionToken"]
        self.session = given
        token = self.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.planted["a docker login"] = b64decode(token).decode().partition(":")[2]

    def _values(self) -> None:
        self.planted["a secret"] = f"{MARK}-value-of-a-secret"
        self.client("secretsmanager").create_secret(Name="db", SecretString=self.planted["a secret"])
        self.planted["a parameter"] = f"{MARK}-value-of-a-parameter"
        self.client("ssm").put_parameter(Name="db", Type="SecureString", Value=self.planted["a parameter"])

    def _load_balancing(self) -> None:
        subnets = [one["SubnetId"] for one in self.client("ec2").describe_subnets()["Subnets"]][:2]
        elb = self.client("elbv2")
        arn = elb.create_load_balancer(Name="front", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        self.planted["a client secret"] = f"{MARK}-client-secret"
        oidc = {
            "Issuer": "https://idp.example",
            "AuthorizationEndpoint": "https://idp.example/a",
            "TokenEndpoint": "https://idp.example/t",
            "UserInfoEndpoint": "https://idp.example/u",
            "ClientId": "client",
            "ClientSecret": self.planted["a client secret"],
        }
        fixed = {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "200"}}
        elb.create_listener(
            LoadBalancerArn=arn,
            Protocol="HTTPS",
            Port=8443,
            Certificates=[{"CertificateArn": self._certificate}],
            DefaultActions=[{"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": oidc}, fixed],
        )

    def _longshores_own(self) -> None:
        self.planted["a remote registry's password"] = f"{MARK}-password-of-a-registry"
        remote: dict[str, object] = {
            "name": "far",
            "url": "https://far.example",
            "userName": "pusher",
            "password": self.planted["a remote registry's password"],
        }
        self._own("ecr", "LongshorePutRemoteRegistry", remote)
        made = self._own("ecs", "LongshoreCreateActivation", {"description": "rack", "expiresInMinutes": 60, "registrationLimit": 1})
        self.planted["an activation's code"] = made["activationCode"]

    def _own(self, service: str, operation: str, asked: dict[str, object]) -> dict[str, Any]:
        call = self._platform.ecs if service == "ecs" else self._platform.ecr
        found: dict[str, Any] = call(operation, asked, dict[str, Any])
        return found

    def _failures(self) -> None:
        """What is wrong and names, or is signed with, what is secret."""
        key, secret = self.key["AccessKeyId"], self.key["SecretAccessKey"]
        begun = (self.session["AccessKeyId"], self.session["SecretAccessKey"], self.session["SessionToken"])
        private = self.planted["the key of an imported certificate"].encode()
        wrong = (
            lambda: self.client("secretsmanager", key, secret).get_secret_value(SecretId="db"),
            lambda: self.client("ssm", key, secret).get_parameter(Name="db", WithDecryption=True),
            lambda: self.client("secretsmanager").create_secret(Name="db", SecretString=self.planted["a secret"]),
            lambda: self.client("ssm").put_parameter(Name="not a name!", Type="SecureString", Value=self.planted["a parameter"]),
            lambda: self.client("iam").create_login_profile(UserName="eve", Password=self.planted["a password"]),
            lambda: self.client("acm").import_certificate(Certificate=b"none", PrivateKey=private),
            lambda: self.client("sts", begun[0], secret, begun[2]).get_caller_identity(),
            lambda: self.client("sts", begun[0], begun[1], begun[2] + "x").get_caller_identity(),
        )
        for attempt in wrong:
            try:
                attempt()
            except ClientError as error:
                # What was signed is said back to whoever signed it, as at AWS, so that they see what went wrong; token included.
                self.answers.append(str(error).partition("The Canonical String")[0])
            else:
                raise AssertionError("it did not fail")


def forms(secret: str) -> Iterable[bytes]:
    """How a secret may be written; of PEM, its longest line, which is all that a search can go by."""
    if "-----BEGIN" in secret:
        secret = max(secret.splitlines(), key=len)
        raws = [secret.encode(), b64decode(secret)]
    else:
        raws = [secret.encode()]
        if re.fullmatch("[A-Z2-7]{64}", secret):
            raws.append(b32decode(secret))
    for raw in raws:
        yield raw
        yield raw.hex().encode()
        yield raw[::-1]
        yield urllib.parse.quote(raw, safe="").encode()
        for shift in range(3):
            # In the middle of something else, as its neighbours let it look.
            encoded = b64encode(b"\0" * shift + raw)
            middle = encoded[4 : 4 * ((shift + len(raw)) // 3)] if shift else encoded[: 4 * (len(raw) // 3)]
            if len(middle) >= _LONG_ENOUGH:
                yield middle


def found_in(content: bytes, planted: Mapping[str, str]) -> set[str]:
    return {what for what, secret in planted.items() if any(form in content for form in forms(secret))}


def search(directory: Path, planted: Mapping[str, str]) -> dict[str, set[str]]:
    """File (or name of a file) -> what is in it."""
    found: dict[str, set[str]] = {}
    for path in directory.rglob("*"):
        if path.is_file() and not path.resolve().is_relative_to("/dev/shm"):
            there = found_in(path.read_bytes(), planted) | found_in(os.fsencode(path), planted)
            if there:
                found[str(path.relative_to(directory))] = there
    return found
