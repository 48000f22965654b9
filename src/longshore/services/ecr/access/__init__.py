"""Who may do what with a repository and a registry, as their own policies say it."""
