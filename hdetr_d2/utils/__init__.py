"""Small helpers for all rooms; they import torch but nothing of this project."""
