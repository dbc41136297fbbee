"""Models as judges: at an endpoint, and by log-likelihood."""
