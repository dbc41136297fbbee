"""What a model can do on the tasks of the Language Model Evaluation Harness (lm-eval), example by example."""
