"""Who sends a request: one module for each way of proving it."""
