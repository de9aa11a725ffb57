"""ministack, with what the application needs of AWS and this version of ministack lacks: repairs of it."""
