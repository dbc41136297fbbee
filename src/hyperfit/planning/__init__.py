"""What a training takes, found by rehearsing one update on tensors without values: memory, operations, disk."""
