"""The demo website: a small marketing site that is tracked and scored while one looks at it."""

from prospect_pipeline.sandbox.website.app import WebsiteSettings, build_website

__all__ = ["WebsiteSettings", "build_website"]
