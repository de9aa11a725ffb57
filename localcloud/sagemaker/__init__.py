"""A SageMaker stand-in: the real API in front, one Python process per deployed model version behind."""
