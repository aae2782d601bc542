"""Between the state dicts of official code and ours: one file per official code base."""
