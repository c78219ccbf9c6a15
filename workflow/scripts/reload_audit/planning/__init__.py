"""What Snakemake imports while it plans: configuration, models, requests of jobs, digests of code; no heavy library.

May import: reading, processes, causes, records, planning.discovery.
Imported by: planning.discovery, jobs, command, scripts, rules.
"""
