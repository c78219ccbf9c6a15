"""Does a saved Stable-Baselines3 model still earn the reward it was trained to?

Plain Python, usable without Snakemake. Importing the package itself imports nothing else, so that
planning a workflow of ten thousand models stays cheap; each module says what it needs.
"""

__version__ = "0.1.0"
