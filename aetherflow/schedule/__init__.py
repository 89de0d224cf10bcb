"""Compute when items fire: cron, intervals, daylight saving time, calendars, catch-up. Pure."""
