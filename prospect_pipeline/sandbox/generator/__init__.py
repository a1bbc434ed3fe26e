"""A generator of Snowplow atomic events whose visitors behave like people.

`process` holds the laws by which they behave and what follows from them exactly; `visitors` draws
who comes and when, `sessions` what they do, and `tables` writes it as atomic events. The same
arguments give the same bytes.
"""

from prospect_pipeline.sandbox.generator.generate import GeneratedEvents, generate

__all__ = ["GeneratedEvents", "generate"]
