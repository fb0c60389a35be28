"""Floor 6: the `lightning` command."""
