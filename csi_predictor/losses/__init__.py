"""Tensors in, scalar out."""
