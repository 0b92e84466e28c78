"""The gradient of a task."""
