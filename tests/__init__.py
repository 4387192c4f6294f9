"""drivetrain's tests: one folder per layer, helpers in `support`, the rules of the tree itself in `house`."""
