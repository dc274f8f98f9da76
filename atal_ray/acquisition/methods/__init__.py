"""Methods of active learning: who speaks, how uncertainty is scored, and how pixels are taken by it."""
