"""Load a causal LM; find its blocks, norm and head; devices and precision; what of it learns; the built-in models."""
