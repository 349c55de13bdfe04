"""The AutoML model: which configurations to try, in which order, and how their predictions are combined."""
