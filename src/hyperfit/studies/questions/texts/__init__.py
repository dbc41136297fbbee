"""Studies of what the models write."""
