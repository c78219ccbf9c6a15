"""From the records of all models to the result tables and audit.json."""
