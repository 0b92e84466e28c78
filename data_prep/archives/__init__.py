"""ORBIT's published archives: download, check, unpack.

Other packages call `download.download`; every ZIP file from outside is read through `unzip`.
"""
