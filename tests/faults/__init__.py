"""Every sample exactly once, in the same bytes, whatever happens to servers, connections and bytes on the way."""
