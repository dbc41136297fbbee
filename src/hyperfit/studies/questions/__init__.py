"""One file a study: what is trained and written for it, and how its question is answered from the numbers."""
