"""Build environments from their specs, seed every episode of them, and describe how they were built."""
