"""The playground as a server: its page, what is asked of it, and texts as they are written."""
