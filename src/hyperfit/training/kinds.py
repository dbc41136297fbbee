"""What of a recipe does not go with the kind of its model: settings for text, for pictures, and lengths."""

from hyperfit.image.palette import Palette
from hyperfit.recipes.recipe import Recipe


def unfit(recipe: Recipe, *, pictures: bool) -> list[str]:
    """A problem for each setting that a model of pictures, or of text, makes no use of."""
    unused = ("text_column", "chunking") if pictures else ("image_column", "skip_unusable")
    return [
        f"--{name.replace('_', '-')}: has no effect on a model of {'pictures' if pictures else 'text'}; leave it out"
        for name in unused
        if getattr(recipe, name) != getattr(Recipe, name)
    ]


def too_long(recipe: Recipe, palette: Palette | None, positions: int | None) -> list[str]:
    """What is wrong with the length of sequences: more than a model has positions for, or not a whole picture."""
    if palette is None:
        if positions is None or recipe.length <= positions:
            return []
        return [f"--length {recipe.length}: {recipe.model} knows {positions} positions; give at most {positions}"]
    if recipe.length in (Recipe.length, palette.length):
        return []
    return [
        f"--length {recipe.length}: {recipe.model} is trained on whole pictures of {palette.length} tokens; leave it "
        "out"
    ]
