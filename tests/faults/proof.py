"""What every long proof has to say at its end."""

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Proof:
    """A proof under way; `broken` names whatever was not as it has to be, and is empty when all is well."""

    broken: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In a word that all is well, or what is not."""
        return "FAILED: " + "; ".join(self.broken) if self.broken else "passed"
