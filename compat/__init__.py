"""Other people's APIs over drivetrain's engine: translation only, no protocol logic, its public names only."""
