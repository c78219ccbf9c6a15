"""What users import into their own scripts to keep VecNormalize's statistics without a pickle.

May import: reading, records.
Imported by: evaluation, training, observing, results, reload_audit.
"""
