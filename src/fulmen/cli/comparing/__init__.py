"""What `lightning compare` is made of: runs that are found, a table, a page."""
