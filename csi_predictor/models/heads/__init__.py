"""Feature maps to logits: pooling, masking and the heads."""
