"""Files that anybody may have written: read within limits, and never executed."""
