"""Long time lags, noise-free and noisy."""
