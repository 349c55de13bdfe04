"""What models of several modalities share."""
