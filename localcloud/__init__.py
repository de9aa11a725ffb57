"""The application of template.yaml on one machine: an AWS emulator and a SageMaker stand-in as one."""
