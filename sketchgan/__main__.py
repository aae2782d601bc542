"""``python -m sketchgan``."""

from sketchgan.cli import main

if __name__ == "__main__":
    main()
