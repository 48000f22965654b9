"""Every kind that IAM keeps."""

from __future__ import annotations

from typing import Any

from longshore.kit.resource import Kind
from longshore.services.iam import account_settings, devices, federation, model, recording_model, reports, service_uses, sign_in

KINDS: tuple[Kind[Any], ...] = (
    *(*model.KINDS, *federation.KINDS, *devices.KINDS, *sign_in.KINDS, *account_settings.KINDS),
    *(*service_uses.KINDS, *reports.KINDS),
    *recording_model.KINDS,
)
