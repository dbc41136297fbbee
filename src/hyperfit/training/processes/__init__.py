"""A training in several processes: how it is launched, how a model is divided among them, and its checkpoints."""
