"""`python -m m3kit.cli`."""

from m3kit_command import main

main()
