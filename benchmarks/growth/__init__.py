"""What it costs to audit ever more models: the parts of ``scaling.py``."""
