"""Pictures drawn here, by number: grounds, figures that hide each other, symmetric figures, little landscapes."""
