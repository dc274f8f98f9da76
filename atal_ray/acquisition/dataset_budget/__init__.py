"""One budget for all images: similarity of millions of candidates (Eq. 10), and how the budget is spent."""
