"""The studio, a local page to film, teach, check and try in a browser, also for a study. Callers use `server.serve`.

A study is a folder. The page calls the same functions as the verbs, and stores nothing elsewhere.
"""
