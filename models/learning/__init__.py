"""Training: recipes, augmentation, seeded loops, cross-validation, cached models."""
