"""The files that Ray Serve looks for at the root of the model archive."""
