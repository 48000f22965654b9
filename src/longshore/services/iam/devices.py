"""Virtual MFA devices: a seed that a program on somebody's telephone and this installation both know (RFC 6238, SHA-1, six digits
that change every thirty seconds), and the check of the codes that it makes.

A code is good once: the number of its half minute is kept, and neither it nor an earlier one is taken again. Clocks drift: a code of
the half minute before or after is taken, and what a device was found to be off by is counted in from then on. Two codes in a row tell
a device's clock where one alone would be too easily guessed, so enabling and synchronising look half an hour around. Failures are
counted (`guessing`), and while they hold a device up no code of it is looked at.

`check_code` decides and touches nothing; `redeem_code` does it inside a transaction and keeps what came of it, failures included: the
transaction must be committed before the caller is told.
"""

from __future__ import annotations

import base64
import hmac
import struct
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from longshore.kit.resource import Kind
from longshore.services.iam.guessing import Guesses
from longshore.services.iam.model import Tag
from longshore.store.base import Reader, Tx

#: seconds that a code lasts
STEP_S = 30
DIGITS = 6
#: bytes of a seed: 64 characters in base 32, as AWS's have
SEED_BYTES = 40
#: half minutes that one code may be off by, and two in a row
_NEAR, _FAR = 1, 60


class MfaDevice(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    name: str
    created_at: float
    seed: bytes
    path: str = "/"
    tags: tuple[Tag, ...] = ()
    #: whose it is: empty until it is enabled for a user
    user_arn: str = ""
    enabled_at: float = 0.0
    #: half minutes that the device's clock was ahead of ours, when it was last asked
    drift: int = 0
    #: the half minute (since the epoch, by the device's clock) of the last code that was taken
    last_step: int = -1
    guesses: Guesses = Guesses()

    def __repr__(self) -> str:
        return f"MfaDevice({self.arn}, {self.user_arn})"

    @property
    def arn(self) -> str:
        """What AWS calls its serial number."""
        return device_arn(self.account_id, self.path, self.name)

    @property
    def seed_text(self) -> str:
        """The seed in base 32, as programs that make codes take it."""
        return base64.b32encode(self.seed).decode()


def device_arn(account_id: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{account_id}:mfa{path}{name}"


MFA_DEVICES: Kind[MfaDevice] = Kind(
    name="iam.mfa_device",
    type=MfaDevice,
    key=lambda device: device.arn,
    indexes={
        "account": lambda device: (device.account_id,),
        "name": lambda device: (f"{device.account_id}:{device.name.lower()}",),
        "user": lambda device: (device.user_arn,) if device.user_arn else (),
    },
    unique=frozenset({"name"}),
    sealed=True,
)

KINDS: tuple[Kind[Any], ...] = (MFA_DEVICES,)


def step_of(now: float) -> int:
    return int(now // STEP_S)


def code_at(seed: bytes, step: int) -> str:
    """The code of a half minute (RFC 4226 over the time, as RFC 6238 has it)."""
    digest = hmac.digest(seed, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


class Checked(NamedTuple):
    good: bool
    #: as it is to be kept, whatever came of it
    device: MfaDevice


def check_code(device: MfaDevice, code: str, now: float) -> Checked:
    """Is it a code of this device, of now, that was not used before? A device that is nobody's has none."""
    if not device.user_arn or device.guesses.are_held(now):
        return Checked(False, device)
    middle = step_of(now) + device.drift
    found = [step for step in _around(middle, _NEAR) if _is_code(device, step, code)]
    return _decided(device, found[:1], now)


def check_two_codes(device: MfaDevice, first: str, second: str, now: float) -> Checked:
    """Are these two codes in a row? Sets the device's clock by them; what was used before is not taken here, either."""
    if device.guesses.are_held(now):
        return Checked(False, device)
    # every pair is looked at, so that how long it takes says nothing of how near a guess came
    found = [step for step in _around(step_of(now), _FAR) if _is_code(device, step, first) & _is_code(device, step + 1, second)]
    return _decided(device, [step + 1 for step in found[:1]], now, codes=2)


def _around(middle: int, reach: int) -> list[int]:
    """The nearest first."""
    return [step for away in range(reach + 1) for step in dict.fromkeys((middle - away, middle + away)) if step >= 0]


def _is_code(device: MfaDevice, step: int, code: str) -> bool:
    return hmac.compare_digest(code_at(device.seed, step).encode(), code.encode())


def _decided(device: MfaDevice, step: list[int], now: float, codes: int = 1) -> Checked:
    """Of the half minute of the last of so many codes, where one was found. Who says a code twice has guessed nothing, and hears no."""
    if not step:
        return Checked(False, msgspec.structs.replace(device, guesses=device.guesses.failed(now)))
    (last,) = step
    if last - codes < device.last_step:
        return Checked(False, device)
    drift = max(-_FAR, min(_FAR, last - step_of(now)))
    return Checked(True, msgspec.structs.replace(device, last_step=last, drift=drift, guesses=Guesses()))


def redeem_code(tx: Tx, user_arn: str, serial_number: str, code: str, now: float) -> bool:
    """Whether `code` is good for a device of this user, which it is but once. Writes, also where it is not good."""
    device = tx.get(MFA_DEVICES, serial_number)
    if device is None or device.user_arn != user_arn:
        return False
    checked = check_code(device, code, now)
    if checked.device != device:
        tx.put(MFA_DEVICES, checked.device)
    return checked.good


def devices_of(reader: Reader, user_arn: str) -> list[MfaDevice]:
    """Those that are enabled for a user, in the order of their serial numbers."""
    return reader.list(MFA_DEVICES, "user", user_arn)


def move_devices(tx: Tx, old_arn: str, new_arn: str) -> None:
    """Devices follow a user to another name."""
    for device in devices_of(tx, old_arn):
        tx.put(MFA_DEVICES, msgspec.structs.replace(device, user_arn=new_arn))


def seed_uri(device: MfaDevice, who: str) -> str:
    """What a program that makes codes reads from the picture (the key URI format that all of them understand)."""
    label = quote(f"{device.name}@{who}", safe="@")
    return f"otpauth://totp/Amazon%20Web%20Services:{label}?secret={device.seed_text}&issuer=Amazon%20Web%20Services"
