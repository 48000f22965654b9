"""What ECS tells of changes: the events that AWS documents, rendered from what is kept."""
