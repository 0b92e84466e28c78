"""New videos, cameras and streams to answers. Others call `recognize.recognize` and `live`."""
