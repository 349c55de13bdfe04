"""Raw uploads -> AutoDL data sets.  ``python -m formatters SRC OUT``.

A new modality: one file with ``sniff``, ``read`` and ``encode`` (see base.py), and one line here.
"""

FORMATTERS: dict[str, str] = {
    "native": "formatters.native",
    "timeseries": "formatters.timeseries",
    "video": "formatters.video",
    "audio": "formatters.audio",
    "image": "formatters.image",
    "text": "formatters.text",
    "tabular": "formatters.tabular",
}
