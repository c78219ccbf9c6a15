"""Read what a repository itself says of the models in it: scripts, notebooks, settings and texts; nothing of it runs.

May import: reading.
Imported by: planning.discovery.
"""
