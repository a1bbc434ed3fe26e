"""``python -m prospect_pipeline`` is the `prospect` command."""

from prospect_pipeline.cli import main

if __name__ == "__main__":
    main()
