"""Results as plain values for JSON."""

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def json_values(value: Any) -> Any:
    """Dataclasses and mappings as dicts with names for keys, sequences and arrays as lists, NaN as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): json_values(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return json_values(value.tolist())
    return None if isinstance(value, float) and math.isnan(value) else value
