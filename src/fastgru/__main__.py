"""`python -m fastgru` is the command `fastgru`."""

from fastgru.cli import main

if __name__ == "__main__":
    main()
