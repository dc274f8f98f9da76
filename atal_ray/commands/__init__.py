"""The commands of `atal`: what each is called with, and those that do a plan in a folder."""
