"""Personal recognizers: taught from one user's videos, stored in one file, and used on new videos frame by frame."""
