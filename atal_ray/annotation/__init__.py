"""Who answers the questions: masks (the oracle), people, or a table of points from elsewhere."""
