"""Citation blocking: what may not follow, because it stands in the training data."""
