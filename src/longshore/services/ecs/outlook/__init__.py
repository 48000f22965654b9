"""What a service waits for and why: the words its scheduler answers in when somebody asks."""
