"""Replication: what is pushed to one registry is carried on to others, in this installation or elsewhere."""
