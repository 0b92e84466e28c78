"""The recognizer: an extractor (image to features), a head (features to a classifier), and LITE to train them."""
