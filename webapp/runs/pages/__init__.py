"""The pages of a run and of its model, with what they show."""
