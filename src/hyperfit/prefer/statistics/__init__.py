"""What judgements say of conditions, and how sure that is."""
