"""Read files that anybody may have written, within limits and without executing anything in them.

May import: nothing.
Imported by: repository, processes, causes, records, planning, planning.discovery, judging, environments, remedies,
models, forensics, evaluation, training, probing, observing, diagnosis, jobs, results, reports, command, rules.
"""
