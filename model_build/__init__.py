"""Builds, measures and deploys the image classifier: `python -m model_build --help`."""
