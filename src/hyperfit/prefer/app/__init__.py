"""The web app: the annotators' pages and the owner's."""
