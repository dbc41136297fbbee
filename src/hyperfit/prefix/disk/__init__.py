"""Prefix caches as files: written whole, locked, counted and evicted."""
