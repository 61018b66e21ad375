"""`python -m m3kit_command`: the same as the command `m3kit`."""

from m3kit_command import main

main()
