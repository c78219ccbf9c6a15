"""The causes that the audit can name: each one's explanation, fix and ranking, and what an instrument saw of it."""
