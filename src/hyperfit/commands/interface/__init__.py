"""How the command line is read, helped with and answered: what all commands share."""
