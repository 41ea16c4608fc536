"""The codec server: operators read by it what Temporal keeps encrypted."""
