"""`python -m m3kit.cli`."""

from m3kit.cli import main

main()
