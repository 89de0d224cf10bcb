"""When items fire: cron, intervals, daylight saving time, calendars, catch-up; pure, apart from zone data."""
