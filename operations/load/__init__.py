"""A load generator that knows what a result is: every photo that it sends must end in exactly one outcome."""
