"""What Parameter Store keeps: parameters with all their versions. Values of SecureStrings are sealed with a key of the installation."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind

#: what values are sealed for
PURPOSE = "ssm-secure-string-1"
SECURE = "SecureString"


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Version(msgspec.Struct, frozen=True, gc=False):
    """What a PutParameter has left behind."""

    number: int
    type: str  # String | StringList | SecureString
    #: UTF-8; sealed for a SecureString
    value: bytes
    modified_at: float
    modified_by: str
    description: str = ""
    key_id: str = ""
    tier: str = "Standard"  # Standard | Advanced
    labels: tuple[str, ...] = ()


class Parameter(msgspec.Struct, frozen=True, gc=False):
    region: str
    account_id: str
    name: str
    #: the oldest first; never empty
    versions: tuple[Version, ...]
    tags: tuple[Tag, ...] = ()

    @property
    def key(self) -> str:
        return parameter_key(self.region, self.account_id, self.name)

    @property
    def arn(self) -> str:
        return parameter_arn(self.region, self.account_id, self.name)

    @property
    def newest(self) -> Version:
        return self.versions[-1]


def parameter_key(region: str, account_id: str, name: str) -> str:
    return f"{region}:{account_id}:{name}"


def parameter_arn(region: str, account_id: str, name: str) -> str:
    """A name that is a path brings its own slash."""
    return f"arn:aws:ssm:{region}:{account_id}:parameter{'' if name.startswith('/') else '/'}{name}"


PARAMETERS: Kind[Parameter] = Kind(
    name="ssm.parameter",
    type=Parameter,
    key=lambda parameter: parameter.key,
    indexes={
        "scope": lambda parameter: (f"{parameter.region}:{parameter.account_id}",),
        "secure": lambda parameter: ("secure",) if any(version.type == SECURE for version in parameter.versions) else (),
    },
)

KINDS = (PARAMETERS,)
