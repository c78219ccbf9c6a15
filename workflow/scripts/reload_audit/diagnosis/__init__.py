"""Why a model earns something else: plan what to try, and conclude from all that was seen.

Cheap first. ``examination`` reads the files and plans trials; ``trials`` are conditions, one factor at a time and then
pairs, each of which would speak for a cause; ``conclusion`` ranks what forensics, probe and trials say together.
"""
