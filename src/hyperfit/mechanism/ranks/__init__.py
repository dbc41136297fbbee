"""Studies: rank origin, and top-rank encouragement."""
