"""What the command line says, checked in one place: types, names of settings, and errors in one sentence."""
