"""Account settings: what an account, a user or a role has asked ECS to do by default."""
