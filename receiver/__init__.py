"""HTTP, for Gelato and for readers: takes events in, hands documents out. Never folds."""
