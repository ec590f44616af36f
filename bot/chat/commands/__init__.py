"""What each command does: parse what was typed, call one service, write the answer."""
