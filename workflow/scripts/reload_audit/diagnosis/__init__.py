"""Why a model earns something else: examine its files, plan conditions to try, and rank the causes they speak for."""
