"""Raw uploads -> AutoDL data sets.  ``python -m formatters SRC OUT``.

A new modality: one file with ``sniff``, ``read`` and ``encode`` (see base.py), and one line here.
"""

FORMATTERS: dict[str, str] = {
    "native": "formatters.native.formatter",
    "timeseries": "formatters.modalities.timeseries",
    "video": "formatters.modalities.video",
    "audio": "formatters.modalities.audio",
    "image": "formatters.modalities.image",
    "text": "formatters.modalities.text",
    "tabular": "formatters.modalities.tabular",
}
