"""One file a modality: sniff, read and encode."""
