"""The review desk: people decide on doubtful photos, and now and then on an accepted one."""
