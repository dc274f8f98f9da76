"""One budget for all images: covers and similarity over millions of candidates, and how the budget is spent."""
