"""Study: where to adapt."""
