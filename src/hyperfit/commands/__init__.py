"""The commands: each checks its flags, calls one function and prints. Everything heavy is imported inside."""
