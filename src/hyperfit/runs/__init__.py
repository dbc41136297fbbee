"""Files that are whole or absent, the folder of a run, and loading again what it leaves."""
