"""Find models that others trained, and what is known about them, without executing anything that lies there."""
