"""Dispatch: what is dealt with is on disk before its person's next command, and many share one write."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
