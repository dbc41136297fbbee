"""Tables for the terminal, the page, CSV, LaTeX and JSON."""
