"""What was written, for people to read."""
