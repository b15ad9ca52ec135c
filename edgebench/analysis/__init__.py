"""What records say: statistics, verdicts, comparisons, reports. Nothing here talks to a device."""
