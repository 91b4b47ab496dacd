"""Commands that test for longer than the suite may: `python -m tests.campaigns.NAME --help`."""
