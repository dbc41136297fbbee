"""Base and hyperfitted model on the same contexts; texts from elsewhere, measured alike."""
