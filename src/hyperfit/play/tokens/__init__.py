"""Two texts that grow at once, token by token, and how each token looks."""
