"""People and models judge which of two texts reads better."""
