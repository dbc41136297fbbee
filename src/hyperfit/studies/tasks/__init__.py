"""Models of a study on tasks of lm-eval: found in the store by what they depend on, pooled over seeds."""
