"""What a batch of continuations takes: its key-value cache, and how many texts fit into memory."""
