"""What a run came to, for people: tables, texts, and one self-contained HTML page."""
