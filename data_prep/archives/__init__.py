"""ORBIT's published archives: downloaded, judged, unpacked.

Others call `download.download`; every ZIP file from elsewhere goes through `unzip`.
"""
