"""What Snakemake imports while it plans: configuration, models, requests of jobs, digests of code; no heavy library.

May import: nothing.
Imported by: planning.discovery, rules.
"""
