"""Studies of models of text, and of pictures: what of the settings is for the one or the other."""

from dataclasses import replace

from hyperfit.errors import UserError
from hyperfit.image.palette import Palette
from hyperfit.image.settings import CompletionSettings
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import of_pictures
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study

DRAWN = "builtin:shapes"
"""What models of pictures are trained on, if nothing is named."""
OF_TEXTS = ("text_column", "length", "context", "total", "tasks", "task_limit")


def another_kind(study: Study, settings: StudySettings) -> str | None:
    """Why a study cannot be run on the settings' model: it is of the other kind; None if it is not."""
    kinds = ("text", "pictures")
    pictures = of_pictures(model_folder(settings.model))
    if study.pictures == pictures:
        return None
    return f"for models of {kinds[study.pictures]}, and --model {settings.model} is one of {kinds[pictures]}"


def for_pictures(settings: StudySettings, palette: Palette) -> StudySettings:
    """The settings as they are meant for a model of pictures: whole ones, of which the first quarter is given.

    Without other data pictures that are drawn here; without other contexts those held out of them. Raises UserError
    for what has no effect on pictures.
    """
    problems = [
        f"--{name.replace('_', '-')}: has no effect on a model of pictures; leave it out"
        for name in OF_TEXTS
        if getattr(settings, name) != getattr(StudySettings, name)
    ]
    if settings.contexts != StudySettings.contexts and len(settings.contexts) != 1:
        problems.append(f"--contexts {' '.join(settings.contexts)}: name one source of pictures")
    if problems:
        raise UserError(*problems)
    data = DRAWN if settings.data == StudySettings.data else settings.data
    return replace(
        settings,
        data=data,
        contexts=(data,) if settings.contexts == StudySettings.contexts else settings.contexts,
        length=palette.length,
        context=palette.context(CompletionSettings.share),
        total=palette.length,
    )
