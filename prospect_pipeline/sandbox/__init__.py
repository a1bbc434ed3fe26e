"""The local Signals, and the generator of events to try it with."""
