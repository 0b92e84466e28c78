"""Removes a participant from all of a study's folders, changing only files proven to be theirs. Callers use
`participant`."""
