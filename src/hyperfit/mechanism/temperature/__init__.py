"""Study: entropy-matched temperature."""
