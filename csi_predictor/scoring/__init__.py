"""A folder of files to score records."""
