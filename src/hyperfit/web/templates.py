"""Pages of a server, made as the report's are: everything escaped, foreign text isolated and harmless."""

from pathlib import Path
from typing import Any

import jinja2

from hyperfit import numbers
from hyperfit.report.pages.templates import clean, isolated, row_name


def page_templates(folder: Path) -> jinja2.Environment:
    """A folder's templates; ``foreign`` isolates text; ``count``, ``percent``, ``ratio``, ``tenths`` write numbers."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=clean,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {"foreign": isolated, "row_name": row_name}
    written: dict[str, Any] = {
        "count": numbers.COUNT,
        "percent": numbers.PERCENT.told,
        "ratio": numbers.RATIO,
        "tenths": numbers.TENTHS,
    }
    templates.filters |= written
    return templates
