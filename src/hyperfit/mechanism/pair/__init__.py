"""A base model and the model made from it, the texts they are studied on, what they predict and write."""
