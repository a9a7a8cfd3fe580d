"""`python -m emotrace` -> the command line."""

from emotrace.app.start import main

if __name__ == "__main__":
    main()
