"""A campaign: the folder, the loop, and its stages, each from committed files to new files."""
