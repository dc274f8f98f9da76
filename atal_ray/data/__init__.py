"""Images and masks: reading, folder layouts, manifests, checks."""
