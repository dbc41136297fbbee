"""Everything that defines a run: the recipe, and the presets."""
