"""Dataset checks, split, model, evaluation, report: pure, no I/O but what is handed in."""
