"""Why hyperfitting works: what differs between a base model and the one made from it."""
