"""What of a text stands in the training data."""
