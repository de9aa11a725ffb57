"""The plain way to write the functions: what the benchmarks compare them with."""
