"""Which schedules are worth their cost: searched offline, judged by restored photos, kept as presets."""
