"""Longshore: Amazon ECS, ECR and Elastic Load Balancing on your own machines."""

__version__ = "0.1.0"
