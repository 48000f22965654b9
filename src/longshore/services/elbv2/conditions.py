"""Rule conditions: what AWS accepts, brought into one form.

Whatever spelling a client uses (`Values` or the field's own configuration), a checked condition carries the configuration,
and for path-pattern and host-header `Values` as well, because that is how they are described. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.quotas import CONDITION_VALUES_PER_RULE, CONDITION_WILDCARDS_PER_RULE
from longshore.services.elbv2.regexes import check_regex

MOST_VALUE_LENGTH = 128
MOST_HEADER_NAME_LENGTH = 40

FIELDS = ("host-header", "http-header", "http-request-method", "path-pattern", "query-string", "source-ip")
#: at most one condition of these per rule
_ONCE = frozenset({"host-header", "http-request-method", "path-pattern", "source-ip"})

_HOST = re.compile(r"[A-Za-z0-9.*?-]+")
_AFTER_LAST_DOT = re.compile(r"[A-Za-z*?]+")
_PATH = re.compile(r"""[A-Za-z0-9_\-.$/~"'@:+&*?=%!,;()]+""")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_METHOD = re.compile(r"[A-Z_-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


def checked_conditions(conditions: Iterable[shapes.RuleCondition]) -> tuple[shapes.RuleCondition, ...]:
    """The conditions in one form. Raises Validation for what AWS refuses."""
    checked = tuple(_checked(condition) for condition in conditions)
    if not checked:
        raise Validation("A condition must be specified")
    fields = [condition.field for condition in checked]
    for field in _ONCE:
        if fields.count(field) > 1:
            raise Validation(f"A rule can only have one '{field}' condition")
    values = [value for condition in checked for value in values_of(condition)]
    if len(values) > CONDITION_VALUES_PER_RULE:
        raise Validation(f"A rule can only have '{CONDITION_VALUES_PER_RULE}' condition values")
    wildcards = sum(_wildcards(condition) for condition in checked)
    if wildcards > CONDITION_WILDCARDS_PER_RULE:
        raise Validation(f"A rule can only have '{CONDITION_WILDCARDS_PER_RULE}' condition wildcards")
    return checked


def values_of(condition: shapes.RuleCondition) -> tuple[str, ...]:
    """Every value of a checked condition, regular expressions too; a query-string pair counts as one."""
    match condition:
        case shapes.RuleCondition(host_header_config=shapes.HostHeaderConditionConfig() as config):
            return (*(config.values or ()), *(config.regex_values or ()))
        case shapes.RuleCondition(path_pattern_config=shapes.PathPatternConditionConfig() as path):
            return (*(path.values or ()), *(path.regex_values or ()))
        case shapes.RuleCondition(http_header_config=shapes.HttpHeaderConditionConfig() as header):
            return (*(header.values or ()), *(header.regex_values or ()))
        case shapes.RuleCondition(query_string_config=shapes.QueryStringConditionConfig() as query):
            return tuple(f"{pair.key or ''}={pair.value or ''}" for pair in query.values or ())
        case shapes.RuleCondition(http_request_method_config=shapes.HttpRequestMethodConditionConfig() as method):
            return method.values or ()
        case shapes.RuleCondition(source_ip_config=shapes.SourceIpConditionConfig() as source):
            return source.values or ()
    return ()


def _wildcards(condition: shapes.RuleCondition) -> int:
    if condition.field not in ("host-header", "path-pattern", "http-header", "query-string"):
        return 0
    literal = set(_regexes(condition))
    return sum(len(re.findall(r"(?<!\\)[*?]", value)) for value in values_of(condition) if value not in literal)


def _regexes(condition: shapes.RuleCondition) -> tuple[str, ...]:
    config = condition.host_header_config or condition.path_pattern_config or condition.http_header_config
    return (config.regex_values or ()) if config else ()


def _checked(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    field = condition.field or _field_by_config(condition)
    if field not in FIELDS:
        raise Validation(f"Condition field '{field}' must be one of '[{', '.join(FIELDS)}]'")
    if condition.values and field not in ("host-header", "path-pattern"):
        raise Validation(f"The 'Values' parameter is not supported for a condition with the field '{field}'")
    foreign = set(_configs(condition)) - {field}
    if foreign:
        raise Validation(f"A condition with the field '{field}' cannot have the configuration of '{sorted(foreign)[0]}'")
    return _CHECKS[field](condition)


def _configs(condition: shapes.RuleCondition) -> list[str]:
    """The fields whose configuration is given."""
    given = {
        "host-header": condition.host_header_config,
        "http-header": condition.http_header_config,
        "http-request-method": condition.http_request_method_config,
        "path-pattern": condition.path_pattern_config,
        "query-string": condition.query_string_config,
        "source-ip": condition.source_ip_config,
    }
    return [field for field, config in given.items() if config is not None]


def _field_by_config(condition: shapes.RuleCondition) -> str:
    given = _configs(condition)
    if len(given) != 1:
        raise Validation("A condition field must be specified")
    return given[0]


def _values_or_regexes(
    condition: shapes.RuleCondition, configured: tuple[str, ...] | None, regexes: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(values, regular expressions); exactly one of them is not empty."""
    if condition.values and configured and condition.values != configured:
        raise Validation(f"The values of the '{condition.field}' condition are given twice")
    if condition.regex_values and regexes and condition.regex_values != regexes:
        raise Validation(f"The regular expressions of the '{condition.field}' condition are given twice")
    values = configured or condition.values or ()
    found = regexes or condition.regex_values or ()
    if bool(values) == bool(found):
        raise Validation("A condition value must be specified" if not values else "You cannot specify both values and regular expressions")
    for regex in found:
        check_regex(regex, MOST_VALUE_LENGTH)
    for value in values:
        _check_length(value)
    return values, found


def _check_length(value: str) -> None:
    if not value:
        raise Validation("A condition value cannot be empty")
    if len(value) > MOST_VALUE_LENGTH:
        raise Validation(f"Condition value '{value}' cannot be longer than '{MOST_VALUE_LENGTH}' characters")


def _check_characters(values: Iterable[str], allowed: re.Pattern[str]) -> None:
    for value in values:
        if not allowed.fullmatch(value):
            raise Validation(f"Condition value '{value}' contains a character that is not valid")


def _host_header(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    config = condition.host_header_config or shapes.HostHeaderConditionConfig()
    values, regexes = _values_or_regexes(condition, config.values, config.regex_values)
    _check_characters(values, _HOST)
    for value in values:
        _, dot, last = value.rpartition(".")
        if not dot or not _AFTER_LAST_DOT.fullmatch(last):
            raise Validation(f"The host name '{value}' must have a '.' with only alphabetical characters after the last one")
    return shapes.RuleCondition(
        field="host-header",
        values=values or None,
        host_header_config=shapes.HostHeaderConditionConfig(values=values or None, regex_values=regexes or None),
        regex_values=regexes or None,
    )


def _path_pattern(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    config = condition.path_pattern_config or shapes.PathPatternConditionConfig()
    values, regexes = _values_or_regexes(condition, config.values, config.regex_values)
    _check_characters(values, _PATH)
    return shapes.RuleCondition(
        field="path-pattern",
        values=values or None,
        path_pattern_config=shapes.PathPatternConditionConfig(values=values or None, regex_values=regexes or None),
        regex_values=regexes or None,
    )


def _http_header(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    config = condition.http_header_config or shapes.HttpHeaderConditionConfig()
    values, regexes = _values_or_regexes(condition, config.values, config.regex_values)
    name = config.http_header_name or ""
    if not name or len(name) > MOST_HEADER_NAME_LENGTH or not _HEADER_NAME.fullmatch(name):
        raise Validation(f"The HTTP header name '{name}' is not valid")
    if name.lower() == "host":
        raise Validation("An HTTP header condition cannot use the host header; use a host-header condition")
    _check_characters(values, _PRINTABLE)
    return shapes.RuleCondition(
        field="http-header",
        http_header_config=shapes.HttpHeaderConditionConfig(http_header_name=name, values=values or None, regex_values=regexes or None),
    )


def _query_string(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    pairs = (condition.query_string_config.values if condition.query_string_config else None) or ()
    if not pairs:
        raise Validation("A condition value must be specified")
    for pair in pairs:
        _check_length(pair.value or "")
        _check_characters([pair.value or ""], _PRINTABLE)
        if pair.key is not None:
            _check_length(pair.key)
            _check_characters([pair.key], _PRINTABLE)
    return shapes.RuleCondition(field="query-string", query_string_config=shapes.QueryStringConditionConfig(values=pairs))


def _http_request_method(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    values = (condition.http_request_method_config.values if condition.http_request_method_config else None) or ()
    if not values:
        raise Validation("A condition value must be specified")
    for value in values:
        if len(value) > MOST_HEADER_NAME_LENGTH or not _METHOD.fullmatch(value):
            raise Validation(f"The HTTP request method '{value}' is not valid")
    return shapes.RuleCondition(
        field="http-request-method", http_request_method_config=shapes.HttpRequestMethodConditionConfig(values=values)
    )


def _source_ip(condition: shapes.RuleCondition) -> shapes.RuleCondition:
    config = condition.source_ip_config or shapes.SourceIpConditionConfig()
    if config.ip_address_type is not None:
        raise Validation("IpAddressType is not supported for a source-ip condition of an application load balancer")
    values = config.values or ()
    if not values:
        raise Validation("A condition value must be specified")
    for value in values:
        try:
            if "/" not in value:
                raise ValueError
            ip_network(value, strict=False)
        except ValueError:
            raise Validation(f"The source IP '{value}' is not a valid CIDR block") from None
    return shapes.RuleCondition(field="source-ip", source_ip_config=shapes.SourceIpConditionConfig(values=values))


_CHECKS = {
    "host-header": _host_header,
    "http-header": _http_header,
    "http-request-method": _http_request_method,
    "path-pattern": _path_pattern,
    "query-string": _query_string,
    "source-ip": _source_ip,
}
