"""Read what others saved, without executing any of it.

A pickle is a program: loading one runs whatever it says. Here it is only ever *parsed* (``pickles``), into plain values
and inert notes of what it would have called. Names outside a short list are refused (``trust``); arrays, spaces and
statistics are then rebuilt from their numbers (``values``, ``statistics``).
"""
