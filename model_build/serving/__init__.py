"""What is copied to `code/` in the model archive; nothing here may import from outside this folder."""
