"""All studies, by name, in the order in which they are listed and run."""

from hyperfit.studies.questions.alternatives import ALTERNATIVES
from hyperfit.studies.questions.curves import CURVES
from hyperfit.studies.questions.domain import DOMAIN
from hyperfit.studies.questions.downstream import DOWNSTREAM
from hyperfit.studies.questions.dynamics import DYNAMICS
from hyperfit.studies.questions.early_stop import EARLY_STOP
from hyperfit.studies.questions.images import IMAGES
from hyperfit.studies.questions.late_stage import LATE_STAGE
from hyperfit.studies.questions.long_range import LONG_RANGE
from hyperfit.studies.questions.main import MAIN
from hyperfit.studies.questions.mechanism import MECHANISM
from hyperfit.studies.questions.memorisation import MEMORISATION
from hyperfit.studies.questions.order import ORDER
from hyperfit.studies.questions.quantity import QUANTITY
from hyperfit.studies.questions.sensitivity import SENSITIVITY
from hyperfit.studies.questions.sharpening import SHARPENING
from hyperfit.studies.questions.stopping import STOPPING
from hyperfit.studies.questions.strength import STRENGTH
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
