"""Judgements from files: what the app and the judges write, and spreadsheets."""
