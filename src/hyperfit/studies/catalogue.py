"""All studies, by name, in the order in which they are listed and run."""

from hyperfit.studies.questions.images import IMAGES
from hyperfit.studies.questions.mechanism.inside import MECHANISM
from hyperfit.studies.questions.mechanism.late_stage import LATE_STAGE
from hyperfit.studies.questions.mechanism.sharpening import SHARPENING
from hyperfit.studies.questions.mechanism.strength import STRENGTH
from hyperfit.studies.questions.texts.alternatives import ALTERNATIVES
from hyperfit.studies.questions.texts.domain import DOMAIN
from hyperfit.studies.questions.texts.downstream import DOWNSTREAM
from hyperfit.studies.questions.texts.long_range import LONG_RANGE
from hyperfit.studies.questions.texts.main import MAIN
from hyperfit.studies.questions.texts.memorisation import MEMORISATION
from hyperfit.studies.questions.training.curves import CURVES
from hyperfit.studies.questions.training.dynamics import DYNAMICS
from hyperfit.studies.questions.training.early_stop import EARLY_STOP
from hyperfit.studies.questions.training.order import ORDER
from hyperfit.studies.questions.training.quantity import QUANTITY
from hyperfit.studies.questions.training.sensitivity import SENSITIVITY
from hyperfit.studies.questions.training.stopping import STOPPING
from hyperfit.studies.study import Study

STUDIES: dict[str, Study] = {
    one.name: one
    for one in (
        MAIN,
        CURVES,
        MEMORISATION,
        SHARPENING,
        ALTERNATIVES,
        EARLY_STOP,
        STRENGTH,
        LONG_RANGE,
        MECHANISM,
        ORDER,
        DOMAIN,
        LATE_STAGE,
        STOPPING,
        QUANTITY,
        SENSITIVITY,
        DYNAMICS,
        DOWNSTREAM,
        IMAGES,
    )
}
