"""Compare the audit's speed with RL Zoo, a script, and bare environment steps: used by ``benchmarks/bench.py``."""
