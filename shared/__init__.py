"""What receiver, worker and downstream have in common: events, the fold, the store, settings, the reader."""
