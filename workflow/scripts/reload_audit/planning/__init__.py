"""What Snakemake imports while it plans: configuration, models, requests of jobs, digests of code; no heavy library.

May import: planning.discovery, records.
Imported by: jobs, planning.discovery, rules.
"""
