"""The local page: film, check, teach, try and run a study in a browser. Others call `server.serve`.

A study is a folder; the page calls the functions that the verbs call, and keeps nothing else of it.
"""
