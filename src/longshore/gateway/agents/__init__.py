"""The agents' side of the gateway: the control (ACS) and telemetry (TCS) sockets of container instances."""
