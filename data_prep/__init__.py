"""Videos to frames to index: what has to be done before a recogniser can be trained or tried."""
