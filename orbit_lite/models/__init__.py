"""The recognizer: an extractor (image to features), a head (features to classifier), and LITE to train them."""
