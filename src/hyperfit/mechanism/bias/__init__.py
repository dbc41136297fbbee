"""Study: static bias."""
