"""The limit on detections per image."""


def check_limit(limit: object) -> None:
    """Raises ValueError if the limit is neither a positive integer nor None, the metric's
    default.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"max_dets_per_image={limit} must be a positive whole number")
