"""What a model is made of, found by watching it: blocks, norm, head, experts, vocabulary."""
