"""Show how far a run is while it goes on: on a terminal, as plain lines, and as a page that reloads itself.

May import: processes, reports.
Imported by: logger plugin.
"""
