"""What a registry as a whole is set to: account settings, and whose pulls leave no trace."""
