"""What a saliency map scores against its mask, and the mean over a test set."""
