"""`python -m fitq` is the command line."""

from fitq.cli.main import main

if __name__ == "__main__":
    main()
