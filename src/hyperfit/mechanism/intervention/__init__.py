"""Study: swap, scale and undo what the last layers do."""
