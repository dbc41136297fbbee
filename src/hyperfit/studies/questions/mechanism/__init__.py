"""Studies of what training changes inside, and where."""
