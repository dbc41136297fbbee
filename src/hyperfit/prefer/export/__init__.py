"""A study's answers as files for others to read."""
