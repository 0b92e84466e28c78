"""What a recognizer costs: MACs, parameters, seconds, memory. Others call `cost.cost` and `macs`."""
