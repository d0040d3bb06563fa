"""`python -m tocsin.cli`: the same as `tocsin`, for where the script is not on the path."""

from tocsin.cli.main import main

main()
