"""Virtual MFA devices: made with a seed that is shown once, enabled for a user with two codes in a row, and taken off again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable

import segno
from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.devices import (
    MFA_DEVICES,
    SEED_BYTES,
    Checked,
    MfaDevice,
    check_two_codes,
    device_arn,
    seed_uri,
)
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.errors import (
    DeleteConflict,
    EntityAlreadyExists,
    EntityTemporarilyUnmodifiable,
    InvalidAuthenticationCode,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
)
from longshore.services.iam.lookup import checked_tags, find_user, owner_arn, tagged, untagged, user_arn_for
from longshore.services.iam.model import USERS
from longshore.services.iam.paging import paged, tags_page
from longshore.services.iam.views import tag_shapes, user_shape
from longshore.store.base import Reader, Tx

#: devices of one user, and those of an account, which are as many as it may have users
MOST_OF_USER, MOST_DEVICES = 8, 5000

_OfUser = shapes.EnableMFADeviceRequest | shapes.ResyncMFADeviceRequest | shapes.DeactivateMFADeviceRequest
_Named = shapes.DeleteVirtualMFADeviceRequest | shapes.TagMFADeviceRequest | shapes.UntagMFADeviceRequest | shapes.ListMFADeviceTagsRequest


def _new(call: Call, request: shapes.CreateVirtualMFADeviceRequest) -> Iterable[str]:
    return (device_arn(call.account_id, request.path or "/", request.virtual_mfa_device_name),)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.serial_number,)


def _owner(call: Call, request: _OfUser | shapes.ListMFADevicesRequest | shapes.GetMFADeviceRequest) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _brought(call: Call, request: shapes.CreateVirtualMFADeviceRequest | shapes.TagMFADeviceRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags)


def _taken(call: Call, request: shapes.UntagMFADeviceRequest) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


def _find(reader: Reader, call: Call, serial_number: str) -> MfaDevice:
    found = reader.get(MFA_DEVICES, serial_number)
    if found is None or found.account_id != call.account_id:
        raise NoSuchEntity(f"VirtualMFADevice with serial number {serial_number} does not exist.")
    return found


def _find_of(reader: Reader, call: Call, user_arn: str, serial_number: str) -> MfaDevice:
    found = reader.get(MFA_DEVICES, serial_number)
    if found is None or found.account_id != call.account_id or found.user_arn != user_arn:
        raise NoSuchEntity(f"MFA Device with serial number {serial_number} is not enabled for this user.")
    return found


# ── made and gone ───────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateVirtualMFADevice", resource=_new, conditions=_brought)
async def create_virtual_mfa_device(call: Call, request: shapes.CreateVirtualMFADeviceRequest) -> shapes.CreateVirtualMFADeviceResponse:
    device = MfaDevice(
        call.account_id,
        request.virtual_mfa_device_name,
        call.clock.now(),
        bytes.fromhex(call.ids.hex(2 * SEED_BYTES)),
        path=request.path or "/",
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
    )
    if len(device.arn) > 256:
        raise InvalidInput("The path and the name of an MFA device are too long for its serial number.")

    def create(tx: Tx) -> None:
        if tx.count(MFA_DEVICES, "name", f"{device.account_id}:{device.name.lower()}"):
            raise EntityAlreadyExists("MFADevice entity at the same path and name already exists.")
        if tx.count(MFA_DEVICES, "account", call.account_id) >= MOST_DEVICES:
            raise LimitExceeded(f"Cannot exceed quota for MFADevicesPerAccount: {MOST_DEVICES}")
        tx.create(MFA_DEVICES, device)

    await call.store.transact(create)
    users = call.store.list(USERS, "arn", call.principal.arn)
    picture = await asyncio.to_thread(_picture, seed_uri(device, users[0].name if users else call.account_id))
    return shapes.CreateVirtualMFADeviceResponse(
        virtual_mfa_device=shapes.VirtualMFADevice(
            serial_number=device.arn,
            base32_string_seed=device.seed_text.encode(),
            qr_code_png=picture,
            tags=tag_shapes(device.tags) or None,
        )
    )


@api.operation("DeleteVirtualMFADevice", resource=_named)
async def delete_virtual_mfa_device(call: Call, request: shapes.DeleteVirtualMFADeviceRequest) -> None:
    def delete(tx: Tx) -> None:
        if _find(tx, call, request.serial_number).user_arn:
            raise DeleteConflict("MFA VirtualDevice in use. Must deactivate first.")
        tx.delete(MFA_DEVICES, request.serial_number)

    await call.store.transact(delete)


def _picture(text: str) -> bytes:
    """Takes ten milliseconds."""
    picture = io.BytesIO()
    segno.make(text, micro=False).save(picture, kind="png", scale=4)
    return picture.getvalue()


# ── enabled for a user, and not any more ─────────────────────────────────────────────────────────────────────────────


@api.operation("EnableMFADevice", resource=_owner)
async def enable_mfa_device(call: Call, request: shapes.EnableMFADeviceRequest) -> None:
    now = call.clock.now()

    def enable(tx: Tx) -> Checked:
        user, device = find_user(tx, call.account_id, request.user_name), _find(tx, call, request.serial_number)
        if device.user_arn:
            raise EntityAlreadyExists(f"MFA Device {device.arn} is already in use.")
        if tx.count(MFA_DEVICES, "user", user.arn) >= MOST_OF_USER:
            raise LimitExceeded(f"Cannot exceed quota for MFADevicesPerUser: {MOST_OF_USER}")
        checked = _two_codes(device, request, now)
        kept = replace(checked.device, user_arn=user.arn, enabled_at=now) if checked.good else checked.device
        tx.put(MFA_DEVICES, kept)
        return checked

    _say(await call.store.transact(enable))


@api.operation("ResyncMFADevice", resource=_owner)
async def resync_mfa_device(call: Call, request: shapes.ResyncMFADeviceRequest) -> None:
    now = call.clock.now()

    def set_clock(tx: Tx) -> Checked:
        user = find_user(tx, call.account_id, request.user_name)
        checked = _two_codes(_find_of(tx, call, user.arn, request.serial_number), request, now)
        tx.put(MFA_DEVICES, checked.device)
        return checked

    _say(await call.store.transact(set_clock))


def _two_codes(device: MfaDevice, request: shapes.EnableMFADeviceRequest | shapes.ResyncMFADeviceRequest, now: float) -> Checked:
    """Raises EntityTemporarilyUnmodifiable while earlier failures hold the device up."""
    if device.guesses.are_held(now):
        raise EntityTemporarilyUnmodifiable(
            f"Too many wrong codes were given for the MFA device. Try again in {int(device.guesses.wait_until() - now) + 1} seconds."
        )
    return check_two_codes(device, request.authentication_code1, request.authentication_code2, now)


def _say(checked: Checked) -> None:
    """Once the failure is kept. Raises InvalidAuthenticationCode."""
    if not checked.good:
        raise InvalidAuthenticationCode


@api.operation("DeactivateMFADevice", resource=_owner)
async def deactivate_mfa_device(call: Call, request: shapes.DeactivateMFADeviceRequest) -> None:
    def take_off(tx: Tx) -> None:
        device = _find_of(tx, call, owner_arn(tx, call, request.user_name), request.serial_number)
        tx.put(MFA_DEVICES, replace(device, user_arn="", enabled_at=0.0))

    await call.store.transact(take_off)


# ── shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _user_name(reader: Reader, device: MfaDevice) -> str | None:
    users = reader.list(USERS, "arn", device.user_arn)
    return users[0].name if users else None


@api.operation("ListMFADevices", resource=_owner)
async def list_mfa_devices(call: Call, request: shapes.ListMFADevicesRequest) -> shapes.ListMFADevicesResponse:
    owner = owner_arn(call.store, call, request.user_name)
    found = paged(
        call,
        ("ListMFADevices", owner),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(MFA_DEVICES, "user", owner, after=after, limit=limit),
        MFA_DEVICES.key,
    )
    shown = tuple(
        shapes.MFADevice(user_name=_user_name(call.store, one), serial_number=one.arn, enable_date=one.enabled_at) for one in found.items
    )
    return shapes.ListMFADevicesResponse(mfa_devices=shown, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("ListVirtualMFADevices", resource=ANY_RESOURCE)
async def list_virtual_mfa_devices(call: Call, request: shapes.ListVirtualMFADevicesRequest) -> shapes.ListVirtualMFADevicesResponse:
    asked = request.assignment_status or "Any"
    found = paged(
        call,
        ("ListVirtualMFADevices", asked),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(MFA_DEVICES, "account", call.account_id, after=after, limit=limit),
        MFA_DEVICES.key,
        keep=lambda device: asked == "Any" or (asked == "Assigned") == bool(device.user_arn),
    )
    shown = tuple(_listed(call.store, device) for device in found.items)
    return shapes.ListVirtualMFADevicesResponse(virtual_mfa_devices=shown, is_truncated=found.is_truncated, marker=found.marker)


def _listed(reader: Reader, device: MfaDevice) -> shapes.VirtualMFADevice:
    users = reader.list(USERS, "arn", device.user_arn) if device.user_arn else []
    return shapes.VirtualMFADevice(
        serial_number=device.arn,
        user=user_shape(users[0]) if users else None,
        enable_date=device.enabled_at if users else None,
    )


@api.operation("GetMFADevice", resource=_owner)
async def get_mfa_device(call: Call, request: shapes.GetMFADeviceRequest) -> shapes.GetMFADeviceResponse:
    device = _find_of(call.store, call, owner_arn(call.store, call, request.user_name), request.serial_number)
    return shapes.GetMFADeviceResponse(
        user_name=_user_name(call.store, device), serial_number=device.arn, enable_date=device.enabled_at, certifications={}
    )


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("TagMFADevice", resource=_named, conditions=_brought)
async def tag_mfa_device(call: Call, request: shapes.TagMFADeviceRequest) -> None:
    def put(tx: Tx) -> None:
        found = _find(tx, call, request.serial_number)
        tx.put(MFA_DEVICES, replace(found, tags=tagged(found.tags, ((tag.key, tag.value) for tag in request.tags))))

    await call.store.transact(put)


@api.operation("UntagMFADevice", resource=_named, conditions=_taken)
async def untag_mfa_device(call: Call, request: shapes.UntagMFADeviceRequest) -> None:
    def take(tx: Tx) -> None:
        found = _find(tx, call, request.serial_number)
        tx.put(MFA_DEVICES, replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListMFADeviceTags", resource=_named)
async def list_mfa_device_tags(call: Call, request: shapes.ListMFADeviceTagsRequest) -> shapes.ListMFADeviceTagsResponse:
    whose = _find(call.store, call, request.serial_number)
    found = tags_page(call, "ListMFADeviceTags", whose.arn, whose.tags, request.marker, request.max_items)
    return shapes.ListMFADeviceTagsResponse(tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker)
