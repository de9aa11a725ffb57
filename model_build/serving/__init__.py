"""The code in the model archive (`code/`). Nothing here may import from outside this folder."""
