"""``python -m hyperfit``: the command line, as launchers want it (``accelerate launch -m hyperfit train ...``)."""

from hyperfit.cli import main

if __name__ == "__main__":
    main()
