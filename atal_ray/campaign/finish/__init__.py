"""From the points of a campaign to what it is for: dense pseudo-masks, and a network trained on them."""
