"""How many of everything there may be: AWS's default quotas, as DescribeAccountLimits lists them."""

from __future__ import annotations

LOAD_BALANCERS_PER_REGION = 50
TARGET_GROUPS_PER_REGION = 3000
LISTENERS_PER_LOAD_BALANCER = 50
RULES_PER_LOAD_BALANCER = 100
TARGET_GROUPS_PER_LOAD_BALANCER = 100
TARGET_GROUPS_PER_ACTION = 5
#: beside the default ones
CERTIFICATES_PER_LOAD_BALANCER = 25
TARGETS_PER_TARGET_GROUP = 1000
CONDITION_VALUES_PER_RULE = 5
CONDITION_WILDCARDS_PER_RULE = 5
TAGS_PER_RESOURCE = 50
NAMES_PER_DESCRIBE = 20

LIMITS: tuple[tuple[str, int], ...] = (
    ("application-load-balancers", LOAD_BALANCERS_PER_REGION),
    ("certificates-per-application-load-balancer", CERTIFICATES_PER_LOAD_BALANCER),
    ("certificates-per-network-load-balancer", CERTIFICATES_PER_LOAD_BALANCER),
    ("condition-values-per-alb-rule", CONDITION_VALUES_PER_RULE),
    ("condition-wildcards-per-alb-rule", CONDITION_WILDCARDS_PER_RULE),
    ("listeners-per-application-load-balancer", LISTENERS_PER_LOAD_BALANCER),
    ("listeners-per-network-load-balancer", LISTENERS_PER_LOAD_BALANCER),
    ("network-load-balancers", LOAD_BALANCERS_PER_REGION),
    ("rules-per-application-load-balancer", RULES_PER_LOAD_BALANCER),
    ("target-groups", TARGET_GROUPS_PER_REGION),
    ("target-groups-per-action-on-application-load-balancer", TARGET_GROUPS_PER_ACTION),
    ("target-groups-per-action-on-network-load-balancer", 1),
    ("target-groups-per-application-load-balancer", TARGET_GROUPS_PER_LOAD_BALANCER),
    ("targets-per-application-load-balancer", TARGETS_PER_TARGET_GROUP),
    ("targets-per-network-load-balancer", TARGETS_PER_TARGET_GROUP),
    ("targets-per-target-group", TARGETS_PER_TARGET_GROUP),
)
