"""Faults that can be switched on in a local cloud, to see what the application makes of them."""
