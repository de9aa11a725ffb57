"""A SageMaker emulator: AWS's API in front, one Python process for each deployed model version behind it."""
