"""The page on which people answer: questions on a desk, a log of answers, pictures, and the server."""
