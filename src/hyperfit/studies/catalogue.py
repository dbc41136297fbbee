"""All studies, by name, in the order in which they are listed and run."""

from hyperfit.studies.questions.curves import CURVES
from hyperfit.studies.questions.quantity import QUANTITY
from hyperfit.studies.study import Study

STUDIES: dict[str, Study] = {one.name: one for one in (CURVES, QUANTITY)}
