"""Classifying all photos of a prefix or a manifest in one execution."""
