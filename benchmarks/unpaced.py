"""`otpdesk` without the pace that keeps it below Telegram's limits: what the desk itself could carry.

python -m benchmarks.unpaced run --config config.toml
"""

from bot.chat import sender
from bot.cli import main

if __name__ == "__main__":
    sender._OVERALL_PER_SECOND = 10**6  # type: ignore[misc]  # noqa: SLF001 (nobody may set it in earnest)
    main()
