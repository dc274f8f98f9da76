"""`atal evaluate`: saliency maps of any method against masks."""
