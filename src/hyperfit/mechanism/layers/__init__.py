"""Studies: hidden states layer by layer, and the logit lens."""
