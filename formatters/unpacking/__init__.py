"""Uploads out of their archives, within limits."""
