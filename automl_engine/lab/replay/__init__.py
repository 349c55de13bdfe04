"""What another order of configurations, or another rule for the weights, would have reached: replayed from records."""
