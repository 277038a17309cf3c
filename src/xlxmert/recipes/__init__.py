"""Floor 5: one runnable recipe per experiment; each says its command, and docs/results.md what it reached."""

from xlxmert.core.threads import wait_actively

wait_actively()
