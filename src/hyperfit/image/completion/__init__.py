"""Pictures completed from their first part: which, by which models, and what is shown of them."""
