"""Tests; this file makes the folder a package of its own, where an installed library brings a `tests` too."""
