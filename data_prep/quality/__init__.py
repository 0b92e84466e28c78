"""Estimates of how videos are filmed: blur, light, motion. Others call `estimate.quality` and `report`."""
