"""`python -m bot` is `otpdesk`."""

from bot.cli import main

main()
