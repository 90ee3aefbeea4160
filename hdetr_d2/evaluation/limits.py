"""How many detections of an image count."""


def check_limit(limit: object) -> None:
    """Raises ValueError if it is neither a positive whole number nor None, the metric's own."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"max_dets_per_image={limit} must be a positive whole number")
