"""Finding the certificate that a request names, who uses it, and what its state is by now."""

from __future__ import annotations

from longshore.aws.arn import parse_arn
from longshore.services.acm.errors import InvalidArnException, ResourceInUseException, ResourceNotFoundException
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.services.call import Call
from longshore.services.elbv2.model import LISTENERS
from longshore.store.base import Reader


def scope_of_call(call: Call) -> str:
    return f"{call.region}:{call.account_id}"


def find(reader: Reader, call: Call, arn: str) -> Certificate:
    """One of the caller's account and region. Raises InvalidArnException and ResourceNotFoundException."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "acm" or parsed.resource_type != "certificate":
        raise InvalidArnException(f"The ARN '{arn}' is not a certificate's.")
    found = reader.get(CERTIFICATES, arn) if (parsed.region, parsed.account_id) == (call.region, call.account_id) else None
    if found is None:
        raise ResourceNotFoundException(f"Could not find certificate {arn} in account {call.account_id}.")
    return found


def users_of(reader: Reader, arn: str) -> tuple[str, ...]:
    """ARNs of the load balancers that have it in a listener, each once."""
    return tuple(sorted({listener.load_balancer_arn for listener in reader.list(LISTENERS, "certificate", arn)}))


def is_used(reader: Reader, arn: str) -> bool:
    return reader.count(LISTENERS, "certificate", arn) > 0


def refuse_used(reader: Reader, arn: str) -> None:
    """Raises ResourceInUseException."""
    if is_used(reader, arn):
        raise ResourceInUseException(f"Certificate {arn} is in use.")


def status_at(certificate: Certificate, now: float) -> str:
    """Nobody writes down that a certificate has ended: it follows from the time."""
    return "EXPIRED" if certificate.status == "ISSUED" and certificate.not_after <= now else certificate.status


def is_managed(certificate: Certificate) -> bool:
    """Whether it is issued and renewed here."""
    return certificate.type == "AMAZON_ISSUED"
