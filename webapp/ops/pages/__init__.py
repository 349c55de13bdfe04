"""The start page and the status page."""
