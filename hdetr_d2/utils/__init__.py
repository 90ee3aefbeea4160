"""Small helpers that every room may use; they import torch and nothing of ours."""
