"""What adapts an extractor to a support set."""
