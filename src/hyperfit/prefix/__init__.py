"""The frozen blocks' output, computed once and read back: Late-Stage training at the cost of the last blocks."""
