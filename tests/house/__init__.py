"""The rules of the house, enforced on the source tree."""
