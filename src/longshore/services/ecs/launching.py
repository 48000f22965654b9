"""What may be launched here, and how: rules that RunTask, StartTask and services share."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.interfaces import checked_network
from longshore.services.ecs.model import TaskDefinition

LAUNCH_TYPES = ("EC2", "EXTERNAL")


def checked_launch_type(launch_type: str | None) -> str:
    """EC2 unless another is asked for. Raises UnsupportedFeatureException for what this installation does not offer."""
    if launch_type not in (None, *LAUNCH_TYPES):
        raise UnsupportedFeatureException(f"The launch type {launch_type} is not offered by this installation. Use EC2.")
    return launch_type or "EC2"


def check_launchable(call: Call, definition: TaskDefinition, launch_type: str, network: shapes.NetworkConfiguration | None) -> None:
    """Raises InvalidParameterException or UnsupportedFeatureException when tasks of `definition` cannot run this way."""
    wanted = definition.definition
    if wanted.network_mode == "awsvpc":
        if network is None or network.awsvpc_configuration is None:
            raise InvalidParameterException("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        checked_network(call, network.awsvpc_configuration, launch_type)
    elif network is not None and network.awsvpc_configuration is not None:
        raise InvalidParameterException("Network Configuration is not valid for the given networkMode of this task definition.")
    required = wanted.requires_compatibilities
    if (required and launch_type not in required) or launch_type not in (wanted.compatibilities or ()):
        raise InvalidParameterException(f"Task definition does not support launch_type {launch_type}.")
