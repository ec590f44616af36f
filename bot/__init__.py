"""otpdesk: a Telegram desk for a team's phone-verification codes."""
