"""What people import into their own scripts to keep VecNormalize's statistics without a pickle."""
