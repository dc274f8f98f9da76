"""The size of the pictures of the report."""

_LONGEST = 480  # pixels: sharp at twice the size on the page

Shape = tuple[int, int]


def fit(height: int, width: int, share: float = 1.0) -> Shape:
    """Height and width of the pictures of an image: its longer side is 480 pixels, or a share of them."""
    scale = share * _LONGEST / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
