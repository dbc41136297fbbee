"""The models that come with hyperfit: ``builtin:NAME``."""
