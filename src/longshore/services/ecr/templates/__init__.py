"""Repository creation templates: how repositories look that nobody created by hand."""
