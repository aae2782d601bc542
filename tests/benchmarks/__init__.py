"""Benchmarks, run by hand: ``python tests/benchmarks/run.py --help``."""
