"""How the models of a study are measured, and what the numbers of several texts and seeds come to."""
