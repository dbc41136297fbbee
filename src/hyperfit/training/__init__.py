"""The loop to near-zero loss: checks, set-up, loss, probes, state, interrupts."""
