"""Where the simulated SMSCode sends its events, and what goes wrong with them on the way. No HTTP here."""

from dataclasses import dataclass

from bot.sandbox.sms_time import iso_text

FAILURES_UNTIL_OFF = 10
OFF_REASON = "consecutive_failed_user_endpoint"


@dataclass(slots=True)
class WebhookConfig:
    """The address of the events and the secret that signs them, each empty where there is none.

    `disabled_at` is set once too many deliveries in a row have failed; `failures` counts those.
    """

    url: str = ""
    secret: str = ""
    disabled_at: str | None = None
    disabled_reason: str | None = None
    failures: int = 0

    @property
    def delivers(self) -> bool:
        """Whether events have a place to go."""
        return bool(self.url) and self.disabled_at is None

    def change(self, url: str | None, secret: str | None) -> None:
        """Send elsewhere, or sign otherwise; either switches delivery on again. Empty clears, None leaves as it is."""
        self.url = self.url if url is None else url
        self.secret = self.secret if secret is None else secret
        self.disabled_at = self.disabled_reason = None
        self.failures = 0

    def note_success(self) -> None:
        """Forget the failures before this delivery."""
        self.failures = 0

    def note_failure(self, now: float) -> None:
        """Count a delivery that nobody took; the one that is too much switches the rest off."""
        self.failures += 1
        if self.failures >= FAILURES_UNTIL_OFF and self.disabled_at is None:
            self.disabled_at = iso_text(now)
            self.disabled_reason = OFF_REASON

    def row(self) -> dict[str, object]:
        """Return the configuration as the API shows it, its secret in clear text."""
        return {
            "webhook_url": self.url or None,
            "webhook_secret": self.secret or None,
            "webhook_disabled_at": self.disabled_at,
            "webhook_disabled_reason": self.disabled_reason,
            "webhook_consecutive_failures": self.failures,
        }


@dataclass(slots=True)
class Mischief:
    """What happens on its way to every event, from now on until it is set otherwise.

    `late` are real seconds before it is sent, `times` is how often. A `lost` one is never sent, a `forged` one is
    signed with another secret, and a `swapped` one waits until the one after it has been delivered.
    """

    late: float = 0.0
    times: int = 1
    lost: bool = False
    forged: bool = False
    swapped: bool = False
