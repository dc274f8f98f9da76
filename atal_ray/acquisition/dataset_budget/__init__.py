"""One budget for all images: cover and similarity of millions of candidates, and how the budget is spent."""
