"""Where a model lies, what it is, and which weights it has."""
