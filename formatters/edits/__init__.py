"""What a user changes in an upload without touching its files: exclude, relabel, merge, split (docs/formats.md)."""
