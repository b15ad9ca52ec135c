"""The host's end of a device: its agent, what is brought there, the jobs that run there, and what they write."""
