"""The pairs of texts that a study asks about."""
