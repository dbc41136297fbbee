"""Studies of how training goes: when it ends, on how much, in which order."""
