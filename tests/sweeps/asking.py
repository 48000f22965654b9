"""What an operation has policies asked about: actions, resources and condition keys, without being carried out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

from msgspec.structs import replace

from longshore.aws.errors import AccessDenied
from longshore.aws.protocol import ec2, json, query
from longshore.gateway.authorise import Access
from longshore.gateway.catalogue import served
from longshore.kit.ids import RandomIds
from longshore.resources import RESOURCE_SIDES
from longshore.services.call import Call, Principal, Site
from longshore.services.ec2 import model as network
from longshore.services.ecs import model as ecs
from longshore.services.iam.deciding import Made
from longshore.services.iam.identities import find_credentials, root_principal
from longshore.services.iam.recording import Recorder
from longshore.store.base import Store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.sweeps.installation import INSTANCE_ID, OWNER, REGION, ROOT, USER, ZONES, House, Installation, Rows, protocol_of, written
from tests.sweeps.reference import stem

_CODECS: Mapping[str, Any] = {"json": json, "query": query, "ec2": ec2}


#: operations on whoever asks, whom the root is none of
_OF_USERS = frozenset({"ChangePassword"})


class Asked(NamedTuple):
    action: str
    resource: str
    #: in lower case, as the reference's are
    keys: frozenset[str]


class _Listening(Recorder):
    def __init__(self, store: Store, there: Installation) -> None:
        super().__init__(store, there.clock)
        self.heard: list[Asked] = []

    @property
    def listens(self) -> bool:
        return True

    def note(self, made: Made) -> None:
        self.heard.append(Asked(made.action, made.resource, frozenset(map(stem, made.context()))))


def _network_arn(row: Any) -> str:
    type_ = {network.Vpc: "vpc", network.Subnet: "subnet", network.SecurityGroup: "security-group"}.get(type(row), "")
    return f"arn:aws:ec2:{row.region}:{row.account_id}:{type_}/{row.id}" if type_ else ""


class Asker:
    """Of one installation, which stays as it is."""

    def __init__(self, there: Installation) -> None:
        self._there = there
        user = find_credentials(there.store, USER.access_key_id)
        assert user is not None
        self._user, self._root = user.principal, root_principal(OWNER, ROOT.access_key_id)
        self._recorder = _Listening(there.store, there)
        rows = [row for values in there.rows().values() for row in values]
        self._there_are = {str(getattr(row, "arn", "")) for row in rows} | {_network_arn(row) for row in rows}
        self._access = Access(there.store, there.clock, RESOURCE_SIDES, self._recorder)

    def asked(self, api: str, name: str, parameters: Mapping[str, Any]) -> list[Asked]:
        """By the root of the house, or by a user where only users may."""
        operation, shape = served(api).operations[name], served(api).shapes[name]
        body, _ = written(api, name, parameters)
        parsed = _CODECS[protocol_of(api)].parse(served(api).model, shape, body)
        self._recorder.heard = []
        with contextlib.suppress(AccessDenied):  # what a role's trust keeps from the root, too, is asked about all the same
            self._access.authorise(
                operation, self._call(self._user if name in _OF_USERS else self._root), parsed, secure=True, user_agent="asker"
            )
        return self._recorder.heard

    def is_there(self, arn: str) -> bool:
        """Whether the house has what an ARN names."""
        return arn in self._there_are

    def _call(self, principal: Principal) -> Call:
        there = self._there
        return Call(
            store=there.store,
            blobs=there.blobs,
            clock=there.clock,
            ids=RandomIds(),
            site=Site(OWNER, REGION, ZONES, "http://127.0.0.1:4566", 4566),
            principal=principal,
            account_id=OWNER,
            region=REGION,
            request_id="",
            source_ip="127.0.0.1",
            base_url="http://127.0.0.1:4566",
        )


def with_tags(rows: Rows) -> Rows:
    """The same house with a tag on everything that can have one."""
    tagged = {kind: [_tagged(row) for row in values] for kind, values in rows.items()}
    of_machine = network.InstanceTags(INSTANCE_ID, OWNER, REGION, (network.Tag("team", "web"),))
    return tagged | {network.INSTANCE_TAGS: [of_machine]}


def _tagged(row: Any) -> Any:
    if isinstance(row, ecs.Task):
        return replace(row, spec=replace(row.spec, tags=(ecs.Tag("team", "web"),)))
    if isinstance(row, network.SecurityGroup):
        row = replace(row, rules=tuple(_tagged(rule) for rule in row.rules))
    if isinstance(row, ecs.TaskDefinition):
        row = replace(row, definition=replace(row.definition, cpu="256", memory="512"))
    make = _tag_of(type(row))
    return row if make is None else replace(row, tags=(make("team", "web"),))


@cache
def _tag_of(type_: type) -> Callable[[str, str], Any] | None:
    """What a row's tags are made of; None for rows that have none."""
    hint = get_type_hints(type_).get("tags")
    members = get_args(hint) if hint is not None else ()
    return members[0] if members and {"key", "value"} <= set(getattr(members[0], "__struct_fields__", ())) else None


def asker_of(house: House) -> Asker:
    async def restored() -> Asker:
        async with Installation.restored(with_tags(house.rows), MemoryBlobStore()) as there:
            return Asker(there)

    return asyncio.run(restored())
