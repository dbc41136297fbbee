"""A local page on which base and hyperfitted model continue a text side by side, token by token."""
