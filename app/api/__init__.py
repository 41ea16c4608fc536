"""The HTTP doors: storefronts start checkouts, gateways report, operators ask for health."""
