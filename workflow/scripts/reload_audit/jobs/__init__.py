"""What the job of each rule does in its own interpreter: start fresh processes, and write down what came back.

May import: reading, processes, records, planning, judging, environments, models, evaluation, training, probing,
    observing, diagnosis.
Imported by: rules, scripts.
"""
