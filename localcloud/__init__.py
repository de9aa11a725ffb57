"""The whole application on one machine: ministack, a SageMaker emulator, and the commands that run them."""
