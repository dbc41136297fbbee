"""Tables of what was found inside: figures, answers, placement."""
