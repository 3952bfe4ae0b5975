"""Packs: many small trials trained as one batched model."""
