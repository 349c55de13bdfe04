"""Time series, one file a layout: sniff, read -> Cases, encode (see ``formatters/modalities/timeseries.py``)."""
