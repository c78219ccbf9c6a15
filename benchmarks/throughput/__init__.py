"""How fast the audit is beside what people do otherwise, and beside what cannot be beaten: ``benchmarks/bench.py``."""
