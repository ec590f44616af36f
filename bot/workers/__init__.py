"""Long-lived loops, each with one job, kept alive by the supervisor."""
