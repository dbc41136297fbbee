"""An evaluation's tables and sentences, the papers' numbers beside ours."""
