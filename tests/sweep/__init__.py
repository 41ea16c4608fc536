"""The sweep: cards that nobody else has are sent in every way there is, and then looked for
everywhere but in the API's memory, where alone they may be."""
