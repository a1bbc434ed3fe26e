"""Speed, as ratios within one run on the same machine: ``make bench``."""
