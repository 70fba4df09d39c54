"""The wiring: recipes, extraction, inspection, verification, sharing."""
