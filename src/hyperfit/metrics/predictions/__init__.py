"""How a model predicts given texts, and how alike two models do."""
