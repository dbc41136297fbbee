"""Curves as inline SVG."""
