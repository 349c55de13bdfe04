"""A trained model as a download: export to ``model.zip``, and prediction with it."""
