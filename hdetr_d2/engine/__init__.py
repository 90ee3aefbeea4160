"""Training and evaluation. This is the only subpackage that reads configs."""
