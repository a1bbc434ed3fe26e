"""The warehouse: events in, training set out."""
